"""The claimer keeps the buffers filled, and sleeps without missing a job.

A queue is hot while claims find jobs. When one finds too few, the queue is put to rest: the worker asks to be notified
(``doze``), looks once more, and then looks by itself only at every poll, which grows longer while nothing comes. It keeps
asking for notifications until two claims in a row come back full, so that a trickle of jobs costs one claim each and a
flood costs its enqueuers no notification.

How much is buffered ahead follows the measured pace, see ``portions``. When the slots are held up, so that it would take
them longer than a second, all of it is handed back. Strict: a queue is asked when all above it are at rest or wait for a
limit, and no more than free slots are filled from it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from pgqueue.backend import Outcome, WorkerBackend
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.inquiry import Inquiry
from pgqueue.worker.portions import COURTESY_SECONDS, Portions
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState, random_id
from pgqueue.worker.suspects import Suspects

HELD_SECONDS = 1.0
BUSY_CLAIMS = 2
FIRST_UNSETTLED, LONGEST_UNSETTLED = 0.02, 0.2
OVERDUE_PAUSES = (0.5, 1.0)  # doubled with each hand-out, at most so often:
OVERDUE_DOUBLINGS = 4
LIMITED_LOOK = 0.25


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
        self._portions = Portions(state, buffers, slots, suspects)
        self._queues = self._portions.queues
        self._next_look = 0.0
        self._unsettled = FIRST_UNSETTLED
        self._flows = state.clock()
        self.none_ready = Inquiry()
        buffers.hungry, buffers.rouse = self.wake, slots.rouse

    @property
    def pace(self) -> float:
        """Jobs a second that the slots take."""
        return self._portions.pace

    def notify(self, queue: str | None = None) -> None:
        """A queue has work; None: any may have."""
        now = self._state.clock()
        for name, known in self._queues.items():
            if queue in (None, name):
                known.heat(now)
        self.wake()

    def pause(self, queue: str) -> None:
        """A queue was paused: hand back what no slot has taken of it."""
        if queue in self._queues:
            self._give_back([*self._buffers.drain(queue), *self._suspects.drain(queue)])

    def look_again(self) -> None:
        """Look at the resting queues now."""
        self._next_look = 0.0
        self.wake()

    def status(self) -> Mapping[str, Any]:
        """Return jobs taken by slots a second, and seconds until it looks by itself."""
        return {"pace": round(self.pace, 1), "poll": round(max(0.0, self._next_look - self._state.clock()), 3)}

    async def run_once(self) -> float | None:
        """Fill the buffers, look after resting queues; return the seconds until the next round."""
        now = self._state.clock()
        if not self._state.claiming or not self._state.holds_lease(now):
            return None if not self._state.claiming else self._state.timing.poll / 10
        self._portions.measure(now)
        self._hand_back_what_waits(now)
        await self._refill()
        if now >= self._next_look and not all(known.hot for known in self._queues.values()):
            await self._look()
        return self._pause()

    async def _refill(self) -> None:
        """Claim from each queue its share. What one brings waits for the others, or it would be run out of turn."""
        claimed, worker = list[tuple[str, list[ClaimedJob]]](), self._state.info.id
        try:
            for queue, share in self._shares():
                claimed.append((queue, await self._claim(queue, share)))
        finally:
            if self._state.info.id == worker:  # else somebody took it for dead meanwhile, and others have its jobs
                self._take_in(claimed)

    async def _claim(self, queue: str, limit: int) -> list[ClaimedJob]:
        lease, holdings, known = random_id(), self._state.holdings, self._queues[queue]
        worker = self._state.info.id
        holdings.claiming.add(lease)
        known.hot, known.waits = False, 0.0
        try:
            claim = await self._backend.claim(queue, lease, limit)
        except BaseException:
            holdings.claiming.discard(lease)  # if it was made after all, the next heartbeat finds and releases it
            self._forget_naps()
            raise
        if self._state.info.id != worker:
            return []  # the lease is an orphan
        holdings.took(lease, len(claim.jobs))
        if claim.jobs:
            self._state.woke = self._state.clock()
        elif claim.paused:
            self.pause(queue)
        known.hot = known.hot or claim.more  # a notification may have come meanwhile
        known.full_claims = known.full_claims + 1 if claim.more else 0
        if known.dozing and known.full_claims >= BUSY_CLAIMS:
            known.dozing = False  # first: if the answer is lost, a notification too many does no harm
            await self._backend.awake([queue])
        elif not known.hot and not known.dozing:
            self._next_look = 0.0
        return claim.jobs

    def _take_in(self, claimed: Iterable[tuple[str, list[ClaimedJob]]]) -> None:
        for queue, found in claimed:
            jobs = self._suspects.set_aside(found) if any(job.crashes for job in found) else found
            self._buffers.add(queue, jobs)
            self._slots.rouse(len(jobs))
        if not self._state.claiming:  # told to stop or to be quiet meanwhile
            self.hand_back()

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
        self._suspects.start_over()
        while self._buffers.urgent:
            self._buffers.ended(self._buffers.urgent.popleft())
        self._forget_naps()
        self.wake()

    def renewed(self) -> None:
        """The lease holds again, or still: slots that waited for it may take what is buffered."""
        self._slots.rouse(self._buffers.size + len(self._buffers.urgent))

    def _forget_naps(self) -> None:
        """After a loss the server may have forgotten that this worker wants to be notified."""
        for known in self._queues.values():
            known.hot, known.dozing = True, False

    def _pause(self) -> float:
        """Return 0 when there is room, else the time until the next look; never for ever, whoever forgets to wake it."""
        if self._shares():
            return 0
        if self._portions.others_choose:
            return COURTESY_SECONDS
        if self._buffers.is_limited and self._buffers.promised:
            return LIMITED_LOOK
        if all(known.hot for known in self._queues.values()):
            return self._state.timing.poll
        return max(0.0, min(self._next_look - self._state.clock(), self._state.poll()))

    def _shares(self) -> list[tuple[str, int]]:
        return [] if self._finisher.is_behind else self._portions.shares()

    def _hand_back_what_waits(self, now: float) -> None:
        """Hand back what the slots hold up, and what a limit does."""
        size, held_up = self._buffers.size, self._buffers.closed or not self._slots.free
        if not size or not held_up or size <= self.pace * HELD_SECONDS:
            self._flows = now
        elif now - self._flows >= HELD_SECONDS:
            # A suspect for which this worker is being emptied waits on, or it would never run alone.
            self._give_back([*self._buffers.drain(), *([] if self._buffers.closed else self._suspects.drain())])
            self._portions.pace = 0.0
        if self._buffers.is_limited:
            self._hand_back_overdue(now)

    def _hand_back_overdue(self, now: float) -> None:
        """Hand back what a limit holds up, for later, and then take less of its queue at once. A drain keeps it and waits."""
        if self._state.draining:
            return
        overdue = self._buffers.overdue()
        for job in overdue:
            pause = random.uniform(*OVERDUE_PAUSES) * 2.0 ** min(job.run - 1, OVERDUE_DOUBLINGS)
            self._finisher.put_off(job, pause)
        held_up = {job.queue for job in overdue}
        for queue, known in self._queues.items():
            known.adapt(now, held_up=queue in held_up)

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
