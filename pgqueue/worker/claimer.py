"""The claimer keeps the buffers filled, and sleeps without missing a job.

A queue is hot while claims find jobs. When one finds too few, the queue is put to rest: the worker asks to be notified
(``doze``), looks once more, and then looks by itself only at every poll, which grows longer while nothing comes. It keeps
asking for notifications until two claims in a row come back full, so that a trickle of jobs costs one claim each and a
flood costs its enqueuers no notification.

How much is buffered ahead follows the measured pace: what the slots will take within a tenth of a second. Jobs that wait
longer than a second because all slots are held up are handed back. Strict: a queue is asked when all above it are at
rest, and no more than free slots are filled from it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgqueue.backend import Outcome, WorkerBackend
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.inquiry import Inquiry
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState, random_id
from pgqueue.worker.suspects import Suspects

MOST_AHEAD = 1000
LARGEST_CLAIM = 500
SMALLEST_CLAIM = 10
AHEAD_SECONDS = 0.1
PACE_SECONDS = 0.02
HELD_SECONDS = 1.0
BUSY_CLAIMS = 2
FIRST_UNSETTLED, LONGEST_UNSETTLED = 0.02, 0.2
OVERDUE_PAUSES = (1.0, 2.0)


@dataclass(slots=True)
class QueueState:
    """What the claimer knows of a queue.

    Attributes:
        hot: The last claim found more than it could take, or a notification came since.
        dozing: The database knows that this worker wants to be notified.
        full_claims: So many claims in a row came back full.
        largest: Most jobs of a claim; small while a task's limit holds jobs of the queue up.
    """

    hot: bool = True
    dozing: bool = False
    full_claims: int = 0
    largest: int = LARGEST_CLAIM


class Claimer(Service):
    """Fills the buffers from the ready lanes.

    Attributes:
        none_ready: Asked by whoever wants to know that no queue has work.
    """

    name = "claimer"

    def __init__(
        self,
        state: WorkerState,
        backend: WorkerBackend,
        buffers: Buffers,
        slots: Slots,
        suspects: Suspects,
        finisher: Finisher,
        events: Events,
    ) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend
        self._buffers = buffers
        self._slots = slots
        self._suspects = suspects
        self._finisher = finisher
        self._queues = {queue: QueueState() for queue in state.weights}
        self._pace = 0.0
        self._measured = (state.clock(), 0)
        self._next_look = 0.0
        self._unsettled = FIRST_UNSETTLED
        self._last_take = (state.clock(), 0)
        self.none_ready = Inquiry()

    @property
    def pace(self) -> float:
        """Jobs a second that the slots take."""
        return self._pace

    def notify(self, queue: str | None = None) -> None:
        """A queue has work; None: any may have."""
        for name, known in self._queues.items():
            known.hot = known.hot or queue is None or name == queue
        self.wake()

    def pause(self, queue: str) -> None:
        """A queue was paused: hand back what no slot has taken of it."""
        if queue in self._queues:
            self._give_back(self._buffers.drain(queue))

    def look_again(self) -> None:
        """Look at the resting queues now."""
        self._next_look = 0.0
        self.wake()

    def status(self) -> Mapping[str, Any]:
        """Return jobs taken by slots a second, and seconds until it looks by itself."""
        return {"pace": round(self._pace, 1), "poll": round(max(0.0, self._next_look - self._state.clock()), 3)}

    async def run_once(self) -> float | None:
        """Fill the buffers, look after resting queues; return the seconds until the next round."""
        now = self._state.clock()
        if not self._state.claiming or not self._state.holds_lease(now):
            return None if not self._state.claiming else self._state.timing.poll / 10
        self._measure(now)
        self._hand_back_what_waits(now)
        for queue, share in self._shares():
            await self._claim(queue, share)
        if now >= self._next_look and not all(known.hot for known in self._queues.values()):
            await self._look()
        return self._pause()

    async def _claim(self, queue: str, limit: int) -> None:
        lease, holdings, known = random_id(), self._state.holdings, self._queues[queue]
        worker = self._state.info.id
        holdings.claiming.add(lease)
        known.hot = False
        try:
            claim = await self._backend.claim(queue, lease, limit)
        except BaseException:
            holdings.claiming.discard(lease)  # if it was made after all, the next heartbeat finds and releases it
            self._forget_naps()
            raise
        if self._state.info.id != worker:
            return  # taken for dead meanwhile: the lease is an orphan, and others have its jobs
        holdings.took(lease, len(claim.jobs))
        if claim.jobs:
            self._state.woke = self._state.clock()
            self._take_in(queue, claim.jobs)
            if not self._state.claiming:  # told to stop or to be quiet meanwhile
                self.hand_back()
        elif claim.paused:
            self.pause(queue)
        known.hot = known.hot or claim.more  # a notification may have come meanwhile
        known.full_claims = known.full_claims + 1 if claim.more else 0
        if known.dozing and known.full_claims >= BUSY_CLAIMS:
            known.dozing = False  # first: if the answer is lost, a notification too many does no harm
            await self._backend.awake([queue])
        elif not known.hot and not known.dozing:
            self._next_look = 0.0

    def _take_in(self, queue: str, claimed: list[ClaimedJob]) -> None:
        jobs = self._suspects.set_aside(claimed) if any(job.crashes for job in claimed) else claimed
        self._buffers.add(queue, jobs)
        self._slots.rouse(len(jobs))

    async def _look(self) -> None:
        """Look at all resting queues; before the first time, ask for notifications."""
        resting = [queue for queue, known in self._queues.items() if not known.hot]
        unasked = [queue for queue in resting if not self._queues[queue].dozing]
        asked = self.none_ready.asked
        try:
            if unasked:
                await self._backend.doze(unasked, self._state.nap())
            view = await self._backend.look(resting)
        except BaseException:
            self._forget_naps()
            raise
        for queue in unasked:
            self._queues[queue].dozing = True
        for queue in view.ready:
            self._queues[queue].hot = True
        for queue in view.paused:
            self.pause(queue)
        self._next_look = self._state.clock() + self._until_next_look(settled=view.settled)
        if not view.ready and len(resting) == len(self._queues):
            self.none_ready.answer(asked)

    def _until_next_look(self, *, settled: bool) -> float:
        poll = self._state.poll() * random.uniform(0.75, 1.0)
        self._unsettled = FIRST_UNSETTLED if settled else min(self._unsettled * 2, LONGEST_UNSETTLED)
        return poll if settled else min(poll, self._unsettled)

    def start_over(self) -> None:
        """Take jobs under a new identity; what is buffered was the old one's."""
        self._buffers.drain()
        self._suspects.drain()
        self._forget_naps()
        self.wake()

    def renewed(self) -> None:
        """The lease holds again, or still: slots that waited for it may take what is buffered."""
        self._slots.rouse(self._buffers.size)

    def _forget_naps(self) -> None:
        """After a loss the server may have forgotten that this worker wants to be notified."""
        for known in self._queues.values():
            known.hot, known.dozing = True, False

    def _pause(self) -> float:
        """Return 0 when there is room, else the time until the next look; never for ever, whoever forgets to wake it."""
        if any(True for _ in self._shares()):
            return 0
        if all(known.hot for known in self._queues.values()):
            return self._state.timing.poll
        return max(0.0, min(self._next_look - self._state.clock(), self._state.poll()))

    def _shares(self) -> Iterator[tuple[str, int]]:
        """Yield the queues to claim from and how many jobs: each queue's part of what may be ahead, once half is used."""
        if self._finisher.is_behind or self._buffers.closed:
            return
        wanted = self._slots.free + min(MOST_AHEAD, int(self._pace * AHEAD_SECONDS))
        wanted = min(wanted, self._allowed())
        self._slots.low_water = wanted // 2
        for queue, part in self._parts(wanted):
            waiting = self._buffers.waiting(queue)
            if part > 0 and waiting <= part // 2:
                room = min(self._buffers.room(queue, part - waiting), self._allowed())
                if room > 0:
                    yield queue, min(room, self._queues[queue].largest)

    def _allowed(self) -> int:
        """Return how many more jobs may be taken: in the life of this worker, and none once it is told to take no more."""
        most = self._state.most_jobs if self._state.claiming else 0
        return sys.maxsize if most is None else most - self._buffers.taken - self._buffers.size - self._suspects.size

    def _parts(self, wanted: int) -> Iterator[tuple[str, int]]:
        """Yield how many jobs of each hot queue may be ahead."""
        if self._state.strict:
            for rank, (queue, known) in enumerate(self._queues.items()):
                if known.hot:
                    yield queue, wanted if rank == 0 else min(wanted, self._slots.free - self._buffers.size)
                    return
            return
        hot = [queue for queue, known in self._queues.items() if known.hot]
        weight = sum(self._state.weights[queue] for queue in hot)
        for queue in hot:
            yield queue, -(-wanted * self._state.weights[queue] // weight)

    def _measure(self, now: float) -> None:
        since, taken = self._measured
        if now - since >= PACE_SECONDS:
            pace = (self._buffers.taken - taken) / (now - since)
            self._pace = pace if self._pace == 0 else (self._pace + pace) / 2
            self._measured = (now, self._buffers.taken)

    def _hand_back_what_waits(self, now: float) -> None:
        """Hand back what all slots hold up, and what its task's limit does, and then take less of its queue."""
        since, taken = self._last_take
        if self._buffers.taken != taken or not self._buffers.size or (self._slots.free and not self._buffers.closed):
            self._last_take = (now, self._buffers.taken)
        elif now - since >= HELD_SECONDS:
            self.hand_back()
            self._pace = 0.0
        if self._buffers.is_limited:
            self._hand_back_overdue()

    def _hand_back_overdue(self) -> None:
        overdue = self._buffers.overdue()
        for job in overdue:
            pause = random.uniform(*OVERDUE_PAUSES)
            self._finisher.add_later(Outcome(job.id, job.run, job.lease, "release", pause, None, None))
        held_up = {job.queue for job in overdue}
        for queue, known in self._queues.items():
            known.largest = (
                max(SMALLEST_CLAIM, known.largest // 2) if queue in held_up else min(LARGEST_CLAIM, known.largest + 1)
            )

    def hand_back(self, *, promised: bool = False) -> None:
        """Release all jobs that no slot has taken; it costs them no attempt.

        Args:
            promised: Whether also those that a slot was to take next, because no slot takes any more.
        """
        self._give_back([*self._buffers.drain(), *self._suspects.drain()])
        while promised and self._buffers.urgent:
            self._give_back([self._buffers.urgent.popleft()])

    def give_up(self, cancelled: frozenset[tuple[int, int]]) -> None:
        """End jobs that were cancelled before a slot took them."""
        if cancelled:
            for job in [*self._buffers.take_out(cancelled), *self._suspects.take_out(cancelled)]:
                self._finisher.add(Outcome(job.id, job.run, job.lease, "cancelled", 0.0, None, None))

    def _give_back(self, jobs: Iterable[ClaimedJob]) -> None:
        for job in jobs:
            self._finisher.add(Outcome(job.id, job.run, job.lease, "release", 0.0, None, None))
