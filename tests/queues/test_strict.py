"""Strict order with many slots: what a worker has seen ready in a higher queue, and what it starts then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from pgqueue import PgQueue
from pgqueue.backend import Claim, View
from pgqueue.worker.supervisor import Worker
from tests.queues.orders import deaf, fill
from tests.support import Watch
from tests.worker.harness import ENDED, timed

RANKS: tuple[str, ...] = ("high", "middle", "low")
ROUNDS = 30


class Ranks:
    """What a worker has seen of each queue, and which jobs it started although it had seen a higher one.

    A queue is ahead while a look or a full claim says that it has jobs which no claim has brought yet, and while jobs that a
    claim brought have not started.

    Attributes:
        seen: How often a queue was found ready while jobs of a lower one ran.
        wrong: Starts out of turn: what was started, and the queue that was ahead.
        running: How many jobs of each queue run.
    """

    def __init__(self, worker: Worker) -> None:
        self.seen: Counter[str] = Counter()
        self.wrong: list[tuple[str, str]] = []
        self.running: Counter[str] = Counter()
        self._ready = dict.fromkeys(RANKS, False)
        self._held = dict.fromkeys(RANKS, 0)
        backend = worker._claimer._backend
        self._look, self._claim = backend.look, backend.claim
        backend.look, backend.claim = self.look, self.claim  # type: ignore[method-assign]

    async def look(self, queues: Sequence[str]) -> View:
        """Look, and note what is ready."""
        view = await self._look(queues)
        for queue in view.ready:
            self._ready[queue] = True
            self.seen[queue] += any(self.running[lower] for lower in RANKS[RANKS.index(queue) + 1 :])
        return view

    async def claim(self, queue: str, lease: int, limit: int) -> Claim:
        """Claim, and note what came."""
        claim = await self._claim(queue, lease, limit)
        self._ready[queue] = claim.more
        self._held[queue] += len(claim.jobs)
        return claim

    def start(self, queue: str) -> None:
        """A job starts."""
        self._held[queue] -= 1
        self.running[queue] += 1
        for higher in RANKS[: RANKS.index(queue)]:
            if self._ready[higher] or self._held[higher]:
                self.wrong.append((queue, higher))


async def test_strict_with_many_slots_no_lower_job_starts_once_a_higher_one_was_seen(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker hears nothing, so that it is its looks that see what is ready."""
    monkeypatch.setattr("pgqueue.worker.listener.Listener.run_once", deaf)
    ran: Counter[str] = Counter()
    turn = asyncio.Condition()

    @pgq.task
    async def note(queue: str) -> None:
        ranks.start(queue)
        await asyncio.sleep(0.001)
        ranks.running[queue] -= 1
        async with turn:
            ran[queue] += 1
            turn.notify_all()

    async def after(queue: str, count: int) -> None:
        async with turn, asyncio.timeout(30):
            await turn.wait_for(lambda: ran[queue] >= count)

    fill(pgq, note, low=1500)
    worker = timed(pgq.worker(queues=RANKS, strict=True, concurrency=8), poll=0.01, idle_poll=0.01)
    ranks = Ranks(worker)
    async with worker:
        for number in range(1, ROUNDS + 1):
            await after("low", 20 * number)
            await asyncio.to_thread(fill, pgq, note, middle=10, high=10)
            await after("high", 10 * number)
        await watch.auntil(ENDED, 1500 + 20 * ROUNDS, "succeeded")
    assert ranks.wrong == []
    assert ran == {"low": 1500, "middle": 10 * ROUNDS, "high": 10 * ROUNDS}
    assert min(ranks.seen["middle"], ranks.seen["high"]) >= 1, f"nothing was tried: {ranks.seen}"
