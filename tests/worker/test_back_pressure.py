"""A worker whose database is slow to record outcomes takes no more jobs meanwhile, and goes on afterwards."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from anyio import to_thread

from pgqueue import PgQueue
from pgqueue.worker import finisher
from tests.support import Watch

JOBS = 40
SLOTS = 4


async def test_a_worker_goes_on_once_its_outcomes_are_recorded(
    dsn: str, pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finisher, "MOST_PENDING", SLOTS)

    @pgq.task
    async def note(number: int) -> None: ...

    pgq.enqueue_many(note.job(number) for number in range(JOBS))
    with psycopg.connect(dsn) as auditor:
        auditor.execute("lock table pgqueue.job_history")  # the finisher waits, and outcomes pile up
        worker = pgq.worker(concurrency=SLOTS)
        wake, dry = worker.slots.hungry, asyncio.Event()

        def hungry() -> None:
            wake()
            if worker.slots.free == SLOTS and worker._parts.finisher.is_behind:
                dry.set()

        worker.slots.hungry = hungry
        async with worker:
            async with asyncio.timeout(10):
                await dry.wait()
            await to_thread.run_sync(auditor.rollback)
            await watch.auntil("select count(*) = %s from pgqueue.job_history", JOBS, timeout=5)
