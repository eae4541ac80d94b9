"""How many jobs are worth a claim, of which queue.

Ahead of the free slots, what the slots will take within a tenth of a second at the measured pace; of that each queue's
part by weight, or all of the first queue that has jobs. While jobs of some queues wait here, each queue that has jobs is to
have some here too, so that weights hold at any pace. Whole cycles of the weights are claimed: 6, 3 and 1 jobs rather than
one of each for one free slot, so that the lines run dry together when claims are slower than the slots.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgqueue.worker.buffers import Buffers
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState
from pgqueue.worker.suspects import Suspects

MOST_AHEAD = 1000
LARGEST_CLAIM = 500
SMALLEST_CLAIM = 10
AHEAD_SECONDS = 0.1
FILLED = 0.75  # of its part; a queue that has more is not filled up with others
PACE_SECONDS = 0.02
RELAXED_SECONDS = 10.0
LONGEST_CYCLE = 20  # jobs; up to there whole cycles of the weights are claimed, so that rounding favours no queue
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

    def heat(self, now: float) -> None:
        """There is work. If a limit here has held up such jobs lately, others choose first."""
        if not self.hot:
            self.hot, self.waits = True, now + COURTESY_SECONDS if self.largest < LARGEST_CLAIM else 0.0

    def adapt(self, now: float, *, held_up: bool) -> None:
        """Take less at once while a limit holds jobs up, and more again when it long did not."""
        if held_up:
            self.largest, self.relaxes = max(SMALLEST_CLAIM, self.largest // 2), now + RELAXED_SECONDS
        elif self.largest < LARGEST_CLAIM and now >= self.relaxes:
            self.largest, self.relaxes = min(LARGEST_CLAIM, self.largest * 2), now + RELAXED_SECONDS


class Portions:
    """Decides how much is claimed.

    Attributes:
        queues: What is known of each queue.
        pace: Jobs a second that the slots take.
    """

    def __init__(self, state: WorkerState, buffers: Buffers, slots: Slots, suspects: Suspects) -> None:
        self._state = state
        self._buffers = buffers
        self._slots = slots
        self._suspects = suspects
        self.queues = {queue: QueueState() for queue in state.weights}
        self.pace = 0.0
        self._measured = (state.clock(), 0)
        self._cycle = 0 if state.strict else sum(state.weights.values())

    def measure(self, now: float) -> None:
        """Take the measure of the slots."""
        since, taken = self._measured
        if now - since >= PACE_SECONDS:
            pace = (self._buffers.taken - taken) / (now - since)
            known = 0.5 ** ((now - since) / PACE_SECONDS) if self.pace else 0.0
            self.pace = known * self.pace + (1 - known) * pace
            self._measured = (now, self._buffers.taken)

    @property
    def others_choose(self) -> bool:
        """Whether others have the first choice in a queue now."""
        now = self._state.clock()
        return any(known.hot and known.waits > now for known in self.queues.values())

    def shares(self) -> list[tuple[str, int]]:
        """Return the queues to claim from and how many jobs: each one's part of what may be ahead, once one has used half.

        Others are filled up with it, so that they run low together. A claim has a largest size, and all shrink alike.
        """
        if self._buffers.closed:
            return []
        ahead = min(MOST_AHEAD, int(self.pace * AHEAD_SECONDS))
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
            limit = min(math.ceil(room / shrunk), self.queues[queue].largest, allowed)
            if limit > 0:
                allowed -= limit
                yield queue, limit

    def _allowed(self) -> int:
        """Return how many more jobs may be taken: in the life of this worker, and none once it is told to take no more."""
        most = self._state.most_jobs if self._state.claiming else 0
        held = self._buffers.taken + self._buffers.promised + self._suspects.size
        return sys.maxsize if most is None else most - held

    def _parts(self, wanted: int) -> Iterator[tuple[str, int]]:
        """Yield how many jobs of each hot queue may be ahead."""
        now = self._state.clock()
        hot = [queue for queue, known in self.queues.items() if known.hot and known.waits <= now]
        if self._state.strict:
            yield from self._parts_by_rank(hot, wanted)
            return
        weights = {queue: self._state.weights[queue] for queue in hot}
        total = sum(weights.values())
        cycle = total // (math.gcd(*weights.values()) or 1)
        if 0 < cycle <= LONGEST_CYCLE:
            wanted = -(-wanted // cycle) * cycle
        for queue, weight in weights.items():
            yield queue, -(-wanted * weight // total)

    def _parts_by_rank(self, hot: list[str], wanted: int) -> Iterator[tuple[str, int]]:
        """Yield what the first hot queue may have ahead; the next one's too, while a limit holds the first one up."""
        highest = next(iter(self.queues))
        for queue in hot:
            yield queue, wanted if queue == highest else min(wanted, self._slots.free - self._buffers.size)
            if not self._buffers.is_held_up(queue):
                return
