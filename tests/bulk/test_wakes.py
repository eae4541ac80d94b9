"""A bulk wakes whoever sleeps for its queues: one notification a queue, at its commit."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import PgQueue, Task
from tests.bulk.conftest import Shrink
from tests.support import COPIED, Watch
from tests.worker.harness import ENDED, LISTENING, timed

POLL = 60.0
SOON = 10.0


@pytest.mark.parametrize("copied_from", [100, 10**9], ids=["copy", "arrays"])
def test_a_bulk_of_many_chunks_notifies_once_a_queue_and_only_those_that_sleep(
    pgq: PgQueue[None], send: Task[..., None], dsn: str, database: psycopg.Connection, shrink: Shrink, copied_from: int
) -> None:
    shrink(100, copied_from=copied_from)
    database.execute(
        "insert into pgqueue.worker_idle (queue, worker_id, nap) values ('a', 1, '1 s'), ('b', 1, '1 s'), ('c\t', 2, '1 s')"
    )
    row = database.execute("select pgqueue.channel()").fetchone()
    assert row is not None
    with psycopg.connect(dsn, autocommit=True) as listening:
        listening.execute(f"listen {row[0]}")
        queues = [send.using(queue=name) for name in ("a", "b", "c\t", "nobody sleeps for it")]
        pgq.enqueue_many((queues[number % 4].job(number) for number in range(450)), returning="count")
        heard = [notice.payload for notice in listening.notifies(timeout=SOON, stop_after=3)]
        assert sorted(heard) == ["ready:a", "ready:b", "ready:c\t"]
        with psycopg.connect(dsn) as connection:
            pgq.using(connection).enqueue_many(queues[0].job(number) for number in range(450))
            assert list(listening.notifies(timeout=0)) == []
        assert [notice.payload for notice in listening.notifies(timeout=SOON, stop_after=1)] == ["ready:a"]
        assert list(listening.notifies(timeout=0)) == []


async def test_a_bulk_by_copy_wakes_a_sleeping_worker(pgq: PgQueue[None], watch: Watch, copied: list[int]) -> None:
    @pgq.task
    async def note(number: int) -> None: ...

    async with timed(pgq.worker(concurrency=10), poll=POLL):
        await watch.auntil("select true from pgqueue.worker_idle")
        await watch.auntil(LISTENING)
        for total in (
            COPIED,
            2 * COPIED,
        ):  # the first may be found by the first look, the second only by a notification
            await watch.auntil("select true from pgqueue.worker_idle", timeout=SOON)
            await pgq.aenqueue_many((note.job(number) for number in range(COPIED)), returning="count")
            await watch.auntil(ENDED, total, "succeeded", timeout=SOON)
    assert copied == [COPIED, COPIED]
    await pgq.aclose()
