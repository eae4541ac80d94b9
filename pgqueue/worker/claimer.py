"""The claimer keeps the buffers filled, and sleeps without missing a job.

A queue is hot while claims find jobs. When one finds too few, the queue is put to rest: the worker asks to be notified
(``doze``), looks once more, and then looks by itself only at every poll, which grows longer while nothing comes. It keeps
asking for notifications until two claims in a row come back full, so that a trickle of jobs costs one claim each and a
flood costs its enqueuers no notification.

How much is buffered ahead follows the measured pace: what the slots will take within a tenth of a second. When the slots
are held up, so that it would take them longer than a second, all of it is handed back. While jobs of some queues wait here,
each queue that has jobs is to have some here too, so that weights hold at any pace. Strict: a queue is asked when all above
it are at rest or wait for a limit, and no more than free slots are filled from it.
"""

from __future__ import annotations

import math
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
FILLED = 0.75  # of its part; a queue that has more is not filled up with others
PACE_SECONDS = 0.02
HELD_SECONDS = 1.0
BUSY_CLAIMS = 2
FIRST_UNSETTLED, LONGEST_UNSETTLED = 0.02, 0.2
OVERDUE_PAUSES = (0.5, 1.0)  # doubled with each hand-out, at most so often:
OVERDUE_DOUBLINGS = 4
RELAXED_SECONDS = 10.0
LIMITED_LOOK = 0.25
COURTESY_SECONDS = 0.1  # in which another worker may take what this one has handed back over a limit


@dataclass(slots=True)
class QueueState:
    """What the claimer knows of a queue.

    Attributes:
        hot: The last claim found more than it could take, or a notification came since.
        dozing: The database knows that this worker wants to be notified.
        full_claims: So many claims in a row came back full.
        largest: Most jobs of a claim; small while a limit holds jobs of the queue up.
        relaxes: Monotonic second from which it may be larger again.
        waits: Monotonic second until which others have the first choice.
    """

    hot: bool = True
    dozing: bool = False
    full_claims: int = 0
    largest: int = LARGEST_CLAIM
    relaxes: float = 0.0
    waits: float = 0.0


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
        self._cycle = 0 if state.strict else sum(state.weights.values())
        self._next_look = 0.0
        self._unsettled = FIRST_UNSETTLED
        self._flows = state.clock()
        self.none_ready = Inquiry()
        buffers.hungry, buffers.rouse = self.wake, slots.rouse

    @property
    def pace(self) -> float:
        """Jobs a second that the slots take."""
        return self._pace

    def notify(self, queue: str | None = None) -> None:
        """A queue has work; None: any may have."""
        now = self._state.clock()
        for name, known in self._queues.items():
            if not known.hot and queue in (None, name):
                known.hot, known.waits = True, now + COURTESY_SECONDS if known.largest < LARGEST_CLAIM else 0.0
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
        return {"pace": round(self._pace, 1), "poll": round(max(0.0, self._next_look - self._state.clock()), 3)}

    async def run_once(self) -> float | None:
        """Fill the buffers, look after resting queues; return the seconds until the next round."""
        now = self._state.clock()
        if not self._state.claiming or not self._state.holds_lease(now):
            return None if not self._state.claiming else self._state.timing.poll / 10
        self._measure(now)
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
        if self._waits():
            return COURTESY_SECONDS
        if self._buffers.is_limited and self._buffers.promised:
            return LIMITED_LOOK
        if all(known.hot for known in self._queues.values()):
            return self._state.timing.poll
        return max(0.0, min(self._next_look - self._state.clock(), self._state.poll()))

    def _waits(self) -> bool:
        """Whether others have the first choice in a queue now."""
        return any(known.hot and known.waits for known in self._queues.values())

    def _shares(self) -> list[tuple[str, int]]:
        """Return the queues to claim from and how many jobs: each one's part of what may be ahead, once one has used half.

        Others are filled up with it, so that they run low together. A claim has a largest size, and all shrink alike.
        """
        if self._finisher.is_behind or self._buffers.closed:
            return []
        ahead = min(MOST_AHEAD, int(self._pace * AHEAD_SECONDS))
        allowed = self._allowed()
        wanted = min(self._slots.free + max(ahead, min(self._buffers.size, self._cycle)), allowed)
        self._slots.low_water = wanted // 2
        parts = {queue: part for queue, part in self._parts(wanted) if part > 0}
        self._buffers.marks = {queue: part // 2 for queue, part in parts.items()}
        waiting = {queue: self._buffers.waiting(queue) for queue in parts}
        if all(waiting[queue] > part // 2 for queue, part in parts.items()):
            return []
        rooms = {
            queue: self._buffers.room(queue, part - waiting[queue])
            for queue, part in parts.items()
            if waiting[queue] <= part * FILLED
        }
        return list(self._claims(rooms, allowed))

    def _claims(self, rooms: Mapping[str, int], allowed: int) -> Iterator[tuple[str, int]]:
        """Yield how many jobs to claim from each queue, with room for so many."""
        shrunk = max(1.0, max(rooms.values(), default=0) / LARGEST_CLAIM)
        for queue, room in rooms.items():
            limit = min(math.ceil(room / shrunk), self._queues[queue].largest, allowed)
            if limit > 0:
                allowed -= limit
                yield queue, limit

    def _allowed(self) -> int:
        """Return how many more jobs may be taken: in the life of this worker, and none once it is told to take no more."""
        most = self._state.most_jobs if self._state.claiming else 0
        return (
            sys.maxsize if most is None else most - self._buffers.taken - self._buffers.promised - self._suspects.size
        )

    def _parts(self, wanted: int) -> Iterator[tuple[str, int]]:
        """Yield how many jobs of each hot queue may be ahead."""
        now = self._state.clock()
        if self._state.strict:
            for rank, (queue, known) in enumerate(self._queues.items()):
                if known.hot and known.waits <= now:
                    yield queue, wanted if rank == 0 else min(wanted, self._slots.free - self._buffers.size)
                    if not self._buffers.is_held_up(queue):
                        return
            return
        hot = [queue for queue, known in self._queues.items() if known.hot and known.waits <= now]
        weight = sum(self._state.weights[queue] for queue in hot)
        for queue in hot:
            yield queue, -(-wanted * self._state.weights[queue] // weight)

    def _measure(self, now: float) -> None:
        since, taken = self._measured
        if now - since >= PACE_SECONDS:
            pace = (self._buffers.taken - taken) / (now - since)
            known = 0.5 ** ((now - since) / PACE_SECONDS) if self._pace else 0.0
            self._pace = known * self._pace + (1 - known) * pace
            self._measured = (now, self._buffers.taken)

    def _hand_back_what_waits(self, now: float) -> None:
        """Hand back what the slots hold up, and what a limit does."""
        size, held_up = self._buffers.size, self._buffers.closed or not self._slots.free
        if not size or not held_up or size <= self._pace * HELD_SECONDS:
            self._flows = now
        elif now - self._flows >= HELD_SECONDS:
            # A suspect for which this worker is being emptied waits on, or it would never run alone.
            self._give_back([*self._buffers.drain(), *([] if self._buffers.closed else self._suspects.drain())])
            self._pace = 0.0
        if self._buffers.is_limited:
            self._hand_back_overdue(now)

    def _hand_back_overdue(self, now: float) -> None:
        """Hand back what a limit holds up, for later, and then take less of its queue at once."""
        overdue = self._buffers.overdue()
        for job in overdue:
            pause = random.uniform(*OVERDUE_PAUSES) * 2.0 ** min(job.run - 1, OVERDUE_DOUBLINGS)
            self._finisher.add_later(Outcome(job.id, job.run, job.lease, "release", pause, None, None))
        held_up = {job.queue for job in overdue}
        for queue, known in self._queues.items():
            if queue in held_up:
                known.largest, known.relaxes = max(SMALLEST_CLAIM, known.largest // 2), now + RELAXED_SECONDS
            elif known.largest < LARGEST_CLAIM and now >= known.relaxes:
                known.largest, known.relaxes = min(LARGEST_CLAIM, known.largest * 2), now + RELAXED_SECONDS

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
