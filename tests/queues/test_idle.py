"""What a worker without jobs asks of the database. `benchmarks/idle.py` counts it over a minute, at full length."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from pgqueue import PgQueue
from pgqueue.postgres.connections import Link
from pgqueue.postgres.heart import PostgresHeart
from pgqueue.worker.state import Timing
from tests.support import ROOT, Watch
from tests.worker.harness import LISTENING, timed

FASTER = 5  # times that everything happens more often here
SECONDS = 3.0
QUEUES = [f"q{number}" for number in range(10)]
# Statement, and how often it may run in a minute of idleness.
MOST = {
    "ready/look": 27,
    "scheduled/look": 27,
    "worker/beats": 17,
    "worker/beat": 13,
    "upkeep/take_vacuum": 2,
}


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
    async with timed(pgq.worker(queues=QUEUES), **faster):
        await watch.auntil(LISTENING)
        await watch.auntil("select count(*) = 10 from pgqueue.worker_idle")
        statements.counts.clear()
        await asyncio.sleep(SECONDS)  # what is tested is what happens in a given time
        counts = dict(statements.counts)
    minute = SECONDS * FASTER / 60
    assert sum(counts.values()) <= 90 * minute, counts
    for name, most in MOST.items():
        assert counts.get(name, 0) <= most * minute + 1, name


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
