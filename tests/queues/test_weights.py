"""Weights and strict order, by the order in which a real worker starts jobs."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue import PgQueue
from pgqueue.backend import Claim
from pgqueue.postgres.store import PostgresWorker
from tests.queues.orders import WINDOW, Door, become, fill, shares
from tests.support import Watch
from tests.worker.harness import ENDED, LISTENING

WEIGHTS = {"a": 6, "b": 3, "c": 1}


@pytest.mark.parametrize(("concurrency", "seconds"), [(1, 0.0), (100, 0.0), (20, 0.002)])
async def test_full_queues_get_their_shares_of_any_thousand_starts(
    concurrency: int, seconds: float, pgq: PgQueue[None], watch: Watch
) -> None:
    started: list[str] = []

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)
        if seconds:
            await asyncio.sleep(seconds)

    fill(pgq, note, a=1800, b=900, c=300)
    async with pgq.worker(weights=WEIGHTS, concurrency=concurrency):
        await watch.auntil(ENDED, 3000, "succeeded")
    for queue, (least, most) in shares(started, WEIGHTS).items():
        assert 0.95 <= least <= most <= 1.05, f"{queue}: {least} to {most} of its due in {WINDOW} starts"


async def test_full_queues_get_their_shares_while_claims_are_slow(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then little is taken ahead and the lines run dry; rounding each queue's part up gave the light one 1.14 of its due."""
    started, claim = list[str](), PostgresWorker.claim

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)

    async def slow(backend: PostgresWorker, queue: str, lease: int, limit: int) -> Claim:
        await asyncio.sleep(0.03)
        return await claim(backend, queue, lease, limit)

    monkeypatch.setattr(PostgresWorker, "claim", slow)
    fill(pgq, note, a=1800, b=900, c=300)
    async with pgq.worker(weights=WEIGHTS, concurrency=1):
        await watch.auntil(ENDED, 3000, "succeeded")
    for queue, (least, most) in shares(started, WEIGHTS).items():
        assert 0.95 <= least <= most <= 1.05, f"{queue}: {least} to {most} of its due in {WINDOW} starts"


async def test_a_queue_that_others_leave_empty_has_the_worker_to_itself(pgq: PgQueue[None], watch: Watch) -> None:
    started: list[str] = []

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)

    fill(pgq, note, c=300)
    async with pgq.worker(weights=WEIGHTS, concurrency=10):
        await watch.auntil(ENDED, 300, "succeeded")
        fill(pgq, note, a=600, b=300)
        await watch.auntil(ENDED, 1200, "succeeded")
    assert started[:300] == ["c"] * 300
    both = started.index("b")
    assert 90 <= started[both : both + 150].count("a") <= 110


async def test_a_critical_job_behind_five_hundred_that_were_taken_ahead_starts_next(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: the worker is woken."""
    monkeypatch.setattr("pgqueue.worker.portions.AHEAD_SECONDS", 10.0)  # so many on a slow machine, too
    started, door = list[str](), Door()

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)
        if len(started) == 1000:
            await become(lambda: worker.status()["queues"]["low"]["buffered"] >= 500)
            await door.pass_through()

    fill(pgq, note, low=3000)
    worker = pgq.worker(weights={"critical": 10, "low": 1}, concurrency=1)
    async with worker:
        await asyncio.wait_for(door.reached.wait(), 30)
        note.using(queue="critical").enqueue("critical")
        await become(lambda: worker.status()["queues"]["critical"]["buffered"] == 1)  # the claim's answer is there
        door.opened.set()
        await watch.auntil(ENDED, 3001, "succeeded")
    assert started.index("critical") == 1000


async def test_critical_jobs_behind_slow_ones_that_were_taken_ahead_start_next(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: the worker is woken. What is known of the pace must not keep another queue's jobs out."""
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    started, doors = list[str](), [Door(), Door()]

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)
        if 3000 <= len(started) < 3002:
            await doors[len(started) - 3000].pass_through()

    fill(pgq, note, low=3500)
    async with pgq.worker(weights={"critical": 10, "low": 1}, concurrency=1) as worker:
        await asyncio.wait_for(doors[0].reached.wait(), 30)
        await watch.auntil(LISTENING)
        while worker.status()["claimer"]["pace"] > 1:  # each round measures; the rounds are the worker's own
            await asyncio.sleep(0.01)
            worker._claimer.wake()
        fill(pgq, note, critical=2)
        await become(lambda: worker.status()["queues"]["critical"]["buffered"] == 2)
        doors[0].opened.set()
        await asyncio.wait_for(doors[1].reached.wait(), 30)
        doors[1].opened.set()
        await watch.auntil(ENDED, 3502, "succeeded")
    assert started[3000:3002] == ["critical", "critical"]


async def test_strict_no_lower_job_starts_while_a_higher_one_is_ready(pgq: PgQueue[None], watch: Watch) -> None:
    started: list[str] = []

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)
        await asyncio.sleep(0)

    fill(pgq, note, low=200, middle=200, high=400)
    async with pgq.worker(queues=["high", "middle", "low"], strict=True, concurrency=10):
        await watch.auntil(ENDED, 800, "succeeded")
    assert started == ["high"] * 400 + ["middle"] * 200 + ["low"] * 200


async def test_strict_a_critical_job_behind_five_hundred_low_ones_starts_next(pgq: PgQueue[None], watch: Watch) -> None:
    """LISTENING: the worker is woken. And of lower queues no more is held than slots are free."""
    started, door, held = list[str](), Door(), list[int]()

    @pgq.task
    async def note(queue: str) -> None:
        started.append(queue)
        held.append(worker.status()["queues"]["low"]["buffered"])
        if len(started) == 300:
            await door.pass_through()

    fill(pgq, note, low=500)
    worker = pgq.worker(queues=["critical", "low"], strict=True, concurrency=1)
    async with worker:
        await asyncio.wait_for(door.reached.wait(), 30)
        fill(pgq, note, critical=3)
        critical = worker._claimer._queues["critical"]
        await become(lambda: critical.hot)  # what was not heard of yet is not ready at the last look
        door.opened.set()
        await watch.auntil(ENDED, 503, "succeeded")
    assert started.index("critical") == 300
    assert started[300:303] == ["critical"] * 3
    assert max(held) == 0, "with one slot, none waits behind the one that runs"


async def test_strict_what_a_limit_holds_up_does_not_hold_up_lower_queues(pgq: PgQueue[None], watch: Watch) -> None:
    door, ran = Door(), list[str]()

    @pgq.task(queue="high")
    async def hang() -> None:
        await door.pass_through()

    @pgq.task(queue="low")
    async def note(queue: str) -> None:
        ran.append(queue)

    pgq.enqueue_many([hang.job() for _ in range(20)])
    fill(pgq, note, low=50)
    async with pgq.worker(queues=["high", "low"], strict=True, limits={"high": 2}, concurrency=10):
        await watch.auntil(ENDED, 50, "succeeded")
        assert not door.opened.is_set()
        door.opened.set()
        await watch.auntil(ENDED, 70, "succeeded")
