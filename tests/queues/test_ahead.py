"""What a worker takes ahead, and when it gives that back: pause, held-up slots, stop."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgqueue import PgQueue
from tests.queues.orders import Door, become, deaf, fill
from tests.support import Watch
from tests.worker.harness import ENDED, LISTENING, timed

NOTHING_PAID = "select coalesce(sum(attempt), 0) = 0 and coalesce(sum(crashes), 0) = 0 from pgqueue.job"
HELD_JOBS = "select count(*) = %s from pgqueue.all_jobs where state = 'running'"


class Slow:
    """A worker whose one slot runs a job that waits, its hundredth, with others taken ahead."""

    def __init__(self, pgq: PgQueue[None], monkeypatch: pytest.MonkeyPatch, *, held: float) -> None:
        monkeypatch.setattr("pgqueue.worker.portions.AHEAD_SECONDS", 10.0)
        monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", held)
        self.started: list[str] = []
        self.door = Door()

        async def work(queue: str) -> None:
            self.started.append(queue)
            if len(self.started) == 100:
                await become(lambda: self.buffered >= 100)
                await self.door.pass_through()

        self.task = pgq.task(name="work")(work)
        self.worker = timed(pgq.worker(queues=["default"], concurrency=1), sweep=60)

    @property
    def buffered(self) -> int:
        """How many jobs it has taken ahead."""
        return int(self.worker.status()["queues"]["default"]["buffered"])


async def test_when_all_slots_are_held_up_another_worker_gets_what_was_taken_ahead(
    dsn: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, helper = Slow(pgq, monkeypatch, held=0.3), PgQueue(dsn)
    helped = []

    @helper.task(name="work")
    async def work(queue: str) -> None:
        helped.append(queue)

    fill(pgq, slow.task, default=300)
    async with slow.worker:
        await asyncio.wait_for(slow.door.reached.wait(), 30)
        async with helper.worker(queues=["default"], concurrency=5):
            await watch.auntil(ENDED, 299, "succeeded", timeout=10)
        assert len(helped) == 200
        slow.door.opened.set()
    assert database.execute(ENDED, (300, "succeeded")).fetchone() == (True,)
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)
    await helper.aclose()


async def test_what_is_taken_ahead_of_a_queue_that_is_paused_goes_back_and_does_not_start(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: the worker is told."""
    slow = Slow(pgq, monkeypatch, held=60.0)
    fill(pgq, slow.task, default=300)
    async with slow.worker:
        await watch.auntil(LISTENING)
        await asyncio.wait_for(slow.door.reached.wait(), 30)
        pgq.inspector.pause("default")
        await watch.auntil(HELD_JOBS, 1)
        assert slow.buffered == 0
        slow.door.opened.set()
        await watch.auntil(ENDED, 100, "succeeded")
        assert database.execute(NOTHING_PAID).fetchone() == (True,)
        pgq.inspector.resume("default")
        await watch.auntil(ENDED, 300, "succeeded")
    assert len(slow.started) == 300


async def test_without_being_told_a_worker_sees_a_pause_at_its_next_claim_or_look(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(pgq, monkeypatch, held=60.0)
    monkeypatch.setattr("pgqueue.worker.listener.Listener.run_once", deaf)
    fill(pgq, slow.task, default=300)
    async with slow.worker:
        await asyncio.wait_for(slow.door.reached.wait(), 30)
        pgq.inspector.pause("default")
        before = slow.buffered
        slow.door.opened.set()
        await watch.auntil("select count(*) >= 100 and bool_and(state = 'succeeded') from pgqueue.job_history")
        await watch.auntil(HELD_JOBS, 0)
        assert before >= 100
        pgq.inspector.resume("default")
        await watch.auntil(ENDED, 300, "succeeded")


async def test_pause_of_one_queue_leaves_the_others_what_was_taken_ahead(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: the worker is told."""
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    door, started = Door(), list[str]()

    @pgq.task
    async def work(queue: str) -> None:
        started.append(queue)
        if len(started) == 1:
            await door.pass_through()

    async with pgq.worker(queues=["a", "b"], concurrency=1):
        await watch.auntil(LISTENING)
        work.using(queue="a").enqueue("a")
        await asyncio.wait_for(door.reached.wait(), 10)
        pgq.inspector.pause("a")
        fill(pgq, work, a=3, b=3)
        door.opened.set()
        await watch.auntil(ENDED, 4, "succeeded")
        assert started == ["a", "b", "b", "b"]
        pgq.inspector.resume("a")
        await watch.auntil(ENDED, 7, "succeeded")


async def test_parked_jobs_of_a_paused_queue_do_not_start(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTENING: the worker is told."""
    monkeypatch.setattr("pgqueue.worker.limits.WAITING_SECONDS", 60.0)
    door, ran = Door(), list[int]()

    @pgq.task(limit=1)
    async def work(number: int) -> None:
        ran.append(number)
        if number == 0:
            await door.pass_through()

    async with pgq.worker(concurrency=5):
        await watch.auntil(LISTENING)
        for number in range(4):
            work.enqueue(number)
        await watch.auntil(HELD_JOBS, 4)
        pgq.inspector.pause("default")
        await watch.auntil(HELD_JOBS, 1)
        door.opened.set()
        await watch.auntil(ENDED, 1, "succeeded")
        assert ran == [0]
        pgq.inspector.resume("default")
        await watch.auntil(ENDED, 4, "succeeded")
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)


async def test_a_stop_gives_back_what_was_taken_ahead_at_once(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(pgq, monkeypatch, held=60.0)
    fill(pgq, slow.task, default=300)
    async with slow.worker:
        await asyncio.wait_for(slow.door.reached.wait(), 30)
        stopping = asyncio.create_task(slow.worker.stop())
        await watch.auntil(HELD_JOBS, 1)
        assert not stopping.done()
        slow.door.opened.set()
        assert await stopping == 0
    assert len(slow.started) == 100
    assert database.execute(NOTHING_PAID).fetchone() == (True,)
    assert database.execute("select count(*) from pgqueue.ready").fetchone() == (200,)


async def test_the_values_that_are_not_to_be_set_are_visible(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task
    async def work(queue: str) -> None:
        pass

    fill(pgq, work, default=200)
    async with pgq.worker(weights={"default": 3, "other": 1}, concurrency=5) as worker:
        await watch.auntil(ENDED, 200, "succeeded")
        status = worker.status()
        assert status["queues"] == {"default": {"weight": 3, "buffered": 0}, "other": {"weight": 1, "buffered": 0}}
        assert (status["taken"], status["running"], status["buffered"]) == (200, 0, 0)
        assert status["claimer"]["pace"] >= 0
        assert 0 <= status["claimer"]["poll"] <= worker.state.timing.idle_poll
        assert status["finisher"] == {"pending": 0}
