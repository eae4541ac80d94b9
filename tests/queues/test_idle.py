"""What a worker without jobs asks of the database. `benchmarks/idle.py` counts it over a minute, at full length."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer, PgQueue
from pgqueue.postgres.connections import Link
from pgqueue.postgres.heart import PostgresHeart
from pgqueue.worker.state import Timing
from tests.queues import idler
from tests.support import ROOT, Watch
from tests.worker.harness import ENDED, LISTENING, timed

FASTER = 5  # times that everything happens more often here
SECONDS = 3.0
# Statement, and how often it may run in a minute of idleness.
MOST = {
    "ready/look": 27,
    "scheduled/look": 27,
    "worker/beats": 17,
    "worker/beat": 13,
    "upkeep/take_vacuum": 2,
}


STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]+): (.*)")
REAL_SECONDS = 6.0
SLACK = 4  # each of four things may fall into so short a time once more
JOBS = 500


class Statements:
    """Counts statements by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        run, beat = Link.run, PostgresHeart._run

        async def counted(link: Link, name: str, parameters: Any = None) -> Any:
            self.counts[name] += 1
            return await run(link, name, parameters)

        def counted_beat(heart: PostgresHeart, name: str, parameters: Any) -> Any:
            self.counts[name] += 1
            return beat(heart, name, parameters)

        monkeypatch.setattr(Link, "run", counted)
        monkeypatch.setattr(PostgresHeart, "_run", counted_beat)


async def test_an_idle_worker_with_ten_queues_asks_one_and_a_half_times_a_second(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: one that nobody can notify looks more often. A slow machine asks less, so only more is a failure."""

    @pgq.task
    async def note() -> None: ...

    names = ("beat", "sweep", "poll", "idle_poll", "tidy")
    faster = {name: getattr(Timing(), name) / FASTER for name in names}
    statements = Statements(monkeypatch)
    async with timed(pgq.worker(queues=idler.QUEUES), **faster):
        await watch.auntil(LISTENING)
        await watch.auntil("select count(*) = 10 from pgqueue.worker_idle")
        statements.counts.clear()
        await asyncio.sleep(SECONDS)  # what is tested is what happens in a given time
        counts = dict(statements.counts)
    minute = SECONDS * FASTER / 60
    assert sum(counts.values()) <= 90 * minute, counts
    for name, most in MOST.items():
        assert counts.get(name, 0) <= most * minute + 1, name


def test_a_worker_with_256_slots_holds_80_mb_and_asks_seldom_when_its_jobs_are_long_ago(
    pgq: PgQueue[None], dsn: str, server: EmbeddedServer, watch: Watch, database: psycopg.Connection
) -> None:
    """LISTENING: one that nobody can notify looks more often. The server counts, and time is real; only waiting is not."""
    database.execute(
        sql.SQL("alter database {} set log_statement = 'all'").format(sql.Identifier(database.info.dbname))
    )
    note = pgq.named("note")
    pgq.enqueue_many(
        [note.using(queue=queue).job() for queue in idler.QUEUES for _ in range(JOBS // len(idler.QUEUES))]
    )
    command = [sys.executable, "-m", "tests.queues.idler", dsn, str(JOBS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "idle\n"
        watch.until(ENDED, JOBS, "succeeded")
        resident = psutil.Process(worker.pid).memory_info().rss / 2**20
        log = server.folder / "server.log"
        before = log.stat().st_size
        time.sleep(REAL_SECONDS)  # what is tested is what happens in a given time
        asked = STATEMENT.findall(log.read_bytes()[before:].decode(errors="replace"))
        worker.communicate("", timeout=30)
        assert worker.returncode == 0
    assert resident <= 80, f"{resident:.1f} MB"
    assert 2 <= len(asked) <= 1.5 * REAL_SECONDS + SLACK, asked


def test_a_worker_loads_nothing_that_only_migrations_and_commands_need() -> None:
    program = """
import asyncio, sys
from pgqueue import PgQueue
pgq = PgQueue("postgresql://nowhere")
@pgq.task
async def note(): ...
worker = pgq.worker()
print(*sorted({name.split(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic", "croniter", "click", "mako", "django"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
