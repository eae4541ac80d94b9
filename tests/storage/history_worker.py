"""A worker of a random history: claims, promotes, finishes, forgets, sleeps, is rescued, comes back."""

from __future__ import annotations

import random
import time

import anyio

from pgqueue.backend import Answer, Heart, Outcome, Verdict
from pgqueue.model.errors import BackendUnavailable
from pgqueue.model.job import ClaimedJob
from tests.storage.hands import Hands
from tests.storage.history import QUEUES, Crowd

VERDICTS: tuple[Verdict, ...] = (
    *("succeeded",) * 12, *("retry",) * 3, *("snooze",) * 2, *("release",) * 2, "dead",
)  # fmt: skip
PATIENCE = 15.0


class HistoryWorker:
    """Uses the store as the real services do, but at random moments.

    Args:
        others: All workers of the history, this one included.
    """

    def __init__(self, crowd: Crowd, number: int, others: list[HistoryWorker]) -> None:
        self.hands = Hands(crowd.settings)
        self._crowd = crowd
        self._ledger = crowd.ledger
        self._chance = random.Random(f"{crowd.plan.seed} worker {number}")
        self._others = others
        self._pending: list[Outcome] = []
        self._unsettled: list[Outcome] = []
        self._open: dict[int, int] = {}
        self._emptied: set[int] = set()
        self._heart: Heart = self.hands.store.heart()

    async def run(self) -> None:
        """Work until the crowd is over and nothing is left, or patience ends."""
        await self.hands.register(*QUEUES)
        with anyio.move_on_after(self._crowd.plan.seconds + PATIENCE + 10):
            while not await self._is_done():
                try:
                    await self._round()
                except BackendUnavailable:
                    if not self._crowd.plan.storm:
                        raise
        self._heart.close()
        await self.hands.store.close()

    async def _is_done(self) -> bool:
        if not self._crowd.over.is_set() or self._pending or self._unsettled:
            return False
        return self._crowd.quiet.is_set()

    async def _round(self) -> None:
        worked = await self._claim()
        if self._chance.random() < 0.4 or not worked:
            await self._promote()
        if self._chance.random() < 0.7 or not worked:
            await self._finish()
        if self._chance.random() < 0.1 or not worked:
            await self._beat()
            await self._sweep()
        if self._crowd.plan.storm and self._chance.random() < 0.02 and not self._crowd.over.is_set():
            await self._oversleep()
        if not worked:
            await anyio.to_thread.run_sync(self._crowd.quiet.wait, 0.005)

    async def _claim(self) -> bool:
        if len(self._pending) > 300:
            return False
        claim = await self.hands.claim(self._chance.choice(self._crowd.plan.limits), self._chance.choice(QUEUES))
        self._ledger.handed += [(job.id, job.run) for job in claim.jobs]
        if claim.jobs and self._chance.random() < 0.03:
            return True  # as if the answer had been lost: the heartbeat tells of the lease
        for job in claim.jobs:
            self._open[job.lease] = self._open.get(job.lease, 0) + 1
            self._pending.append(self._outcome(job))
        return claim.more or bool(claim.jobs)

    def _outcome(self, job: ClaimedJob) -> Outcome:
        verdict: Verdict = "succeeded" if self._crowd.over.is_set() else self._chance.choice(VERDICTS)
        again = verdict in ("retry", "snooze")
        delay = self._chance.choice([0.0, self._chance.randint(1, 300) / 1000]) if again else 0.0
        return Outcome(
            job.id, job.run, job.lease, verdict, delay, None if verdict == "release" else time.monotonic(), None
        )

    async def _promote(self) -> None:
        agenda = await self.hands.store.agenda(QUEUES)
        for queue in agenda.due:
            await self.hands.store.promote(queue, self._chance.choice(self._crowd.plan.limits))

    async def _finish(self) -> None:
        if self._unsettled:
            await self._settle()
        self._chance.shuffle(self._pending)
        size = len(self._pending) if self._crowd.over.is_set() else self._chance.randint(0, len(self._pending))
        batch, emptied = self._pending[:size], set(self._emptied)
        if not batch and not emptied:
            return
        answers = await self.hands.store.finish(batch, emptied, time.monotonic())
        self._emptied -= emptied
        self._pending = self._pending[size:]
        for outcome, answer in zip(batch, answers, strict=True):
            self._note(outcome, answer)

    def _note(self, outcome: Outcome, answer: Answer) -> None:
        if answer == "locked":
            self._ledger.locked += 1
            self._pending.append(outcome)
            return
        self._open[outcome.lease] -= 1
        if not self._open[outcome.lease]:
            del self._open[outcome.lease]
            self._emptied.add(outcome.lease)
        if outcome.started is None:
            return
        if answer == "done":
            self._ledger.recorded.append((outcome.id, outcome.run, outcome.verdict))
        else:
            self._unsettled.append(outcome)

    async def _settle(self) -> None:
        known = await self.hands.store.settle(self._unsettled, time.monotonic())
        for outcome in self._unsettled:
            if (outcome.id, outcome.run) in known:
                self._ledger.recorded.append((outcome.id, outcome.run, outcome.verdict))
            else:
                self._ledger.lost.append((outcome.id, outcome.run))
        self._unsettled = []

    async def _beat(self) -> None:
        pulse = self._heart.beat(self.hands.id)
        if not pulse.alive:
            await self._be_reborn()
            return
        self._pending = [
            o._replace(verdict="cancelled", delay=0.0) if (o.id, o.run) in pulse.cancelled and o.started else o
            for o in self._pending
        ]
        unknown = pulse.leases - self._open.keys() - self._emptied
        if unknown:
            await self.hands.store.release(sorted(unknown))

    async def _oversleep(self) -> None:
        """Be taken for dead, and finish all the same."""
        other = self._chance.choice(self._others)
        beats = await other.hands.store.beats()
        if self.hands.id in beats.counters:
            await other.hands.store.rescue({self.hands.id: beats.counters[self.hands.id]})
        await self._finish()
        await self._be_reborn()

    async def _be_reborn(self) -> None:
        """Go on under a new id; what the old one held is an orphan until somebody sweeps."""
        while self._pending or self._unsettled:
            await self._finish()
        self._open.clear()
        self._emptied.clear()
        await self.hands.register(*QUEUES)
        await self._sweep()

    async def _sweep(self) -> None:
        """Take orphans. Again and again, as the rescuer does: a sweep leaves a lease of which a job is locked just then."""
        if (await self.hands.store.beats()).orphans:
            await self.hands.store.rescue({})
