"""A forked child must not speak on its parent's connections."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg

from tests.support import ROOT

WRITERS = """
create table public.writers (job_id bigint, backend int);
create function public.note_writer() returns trigger language plpgsql as $$
begin
  insert into public.writers values (new.id, pg_backend_pid());
  return null;
end $$;
create trigger note_writer after insert on pgqueue.job for each row execute function public.note_writer();
"""


def test_a_forked_child_enqueues_on_connections_of_its_own(dsn: str, database: psycopg.Connection) -> None:
    database.execute(WRITERS)
    forked = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.worker.forker", dsn],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert forked.returncode == 0, forked.stderr
    parent, child = json.loads(forked.stdout)
    rows = database.execute("select job_id::text, backend from public.writers").fetchall()
    backends: dict[str, int] = dict(rows)
    assert set(backends) == {*parent, *child}
    assert not {backends[job] for job in parent} & {backends[job] for job in child}
    assert backends[parent[0]] == backends[parent[2]], "the parent's pool still works after the child has gone"
