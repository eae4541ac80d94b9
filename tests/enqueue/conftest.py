"""A task to enqueue, every kind of handle, and one database for all of these tests, emptied after each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer, PgQueue, Task
from pgqueue.postgres import chunks
from tests.conftest import TEMPLATE
from tests.enqueue.handles import Handle
from tests.enqueue.openers import KINDS, open_handle

EMPTY = """
do $$ declare name text; begin
  if pg_relation_size('pgqueue.job') > 500000 then  -- what was rolled back takes room too, and slows the tests after it
    set local session_replication_role = replica;
    truncate pgqueue.job, pgqueue.ready, pgqueue.scheduled, pgqueue.job_key;
    set local session_replication_role = origin;
  end if;
  for name in select relname from pg_class where relnamespace = 'pgqueue'::regnamespace and relkind = 'r'
      and relname not in ('migration', 'home') and pg_relation_size(oid) > 0 loop
    execute format('delete from pgqueue.%I', name);
  end loop;
  if exists (select from pg_class where relnamespace = 'public'::regnamespace)
      or exists (select from pg_proc where pronamespace = 'public'::regnamespace) then
    drop schema public cascade;
    create schema public;
  end if;
end $$;
"""


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database; making one a test would take most of the time."""
    name = "t_enqueue"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
            fresh.execute("select pgqueue.adopt()")
        yield server.dsn_of(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(shared_database: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    yield shared_database
    with psycopg.connect(shared_database, autocommit=True, options="-c lock_timeout=10s") as connection:
        misplaced = connection.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
        connection.execute(EMPTY)
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., None]:
    """A task whose arguments are not checked by type."""

    @pgq.task(name="send")
    def send(user_id: object, note: object = None) -> None: ...

    return send


@pytest.fixture(params=KINDS)
async def handle(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Handle]:
    """A caller's transaction, of each kind in turn."""
    async with open_handle(request.param, dsn) as opened:
        yield opened


@pytest.fixture
def chunks_of_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk goes in chunks of 500 jobs; a whole one is copied where the driver can."""
    monkeypatch.setattr(chunks, "MOST", 500)
