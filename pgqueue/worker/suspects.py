"""Suspects: jobs that a worker held when it died. One of them may have killed it; most were only buffered.

A suspect's start is recorded before its handler is called, so that the next crash counts against those that ran. One
starts at first, and twice as many after each half second in which nobody died: a quick killer takes few others with it, and
a hundred long jobs run again within seconds.

One that is suspected of two crashes runs alone in this worker, so that it takes no innocent with it, and nobody is ended as
poison for another's crash. It is alone for a minute; then others may start beside it, and a crash counts, but does not end
it. Next time it is alone for ten, and then to its end: so a slow killer is found too, and a long job of a dead worker does
not keep a worker to itself for hours.
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pgqueue.backend import Outcome, WorkerBackend
from pgqueue.model.job import ClaimedJob
from pgqueue.model.poison import MOST_CRASHES
from pgqueue.tasks import Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.service import Service
from pgqueue.worker.state import WorkerState

PROVEN_SECONDS = 0.5
ALONE_SECONDS = (60.0, 600.0, math.inf)
ALONE_PATIENCE = 30.0
WAITING_PATIENCE = 5.0
WRITING_PATIENCE = 5.0
PAUSES = (1.0, 5.0)
ALONE_PAUSES = (20.0, 60.0)
LOOK = 0.05


@dataclass(slots=True)
class Started:
    """A suspect whose start is recorded, and whose end is not known to be written.

    Attributes:
        since: Monotonic second of its start.
        ended: Monotonic second of its end; None: it runs.
        alone: Whether nobody may start beside it.
    """

    job: ClaimedJob
    since: float
    alone: bool
    ended: float | None = None


class Suspects(Service):
    """Lets suspects run, few at first.

    Args:
        running: Returns how many jobs run now.
        rouse: Called when a slot may take a job.
    """

    name = "suspects"

    def __init__(
        self,
        state: WorkerState,
        backend: WorkerBackend,
        buffers: Buffers,
        registry: Registry,
        finisher: Finisher,
        running: Callable[[], int],
        rouse: Callable[[int], None],
        events: Events,
    ) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend
        self._buffers = buffers
        self._registry = registry
        self._finisher = finisher
        self._running = running
        self._rouse = rouse
        self._lock = threading.Lock()
        self._line: deque[tuple[float, ClaimedJob]] = deque()
        self._started: dict[tuple[int, int], Started] = {}
        self._width, self._widened = 1, 0.0
        self._starting: ClaimedJob | None = None
        self._emptying_since: float | None = None
        finisher.written = self._note_write

    @property
    def size(self) -> int:
        """How many wait, and are about to start."""
        return len(self._line) + (self._starting is not None)

    def set_aside(self, jobs: Iterable[ClaimedJob]) -> list[ClaimedJob]:
        """Take the suspects among claimed jobs; return the others. A child process dies without its worker."""
        others, now = [], self._state.clock()
        for job in jobs:
            if job.crashes and (task := self._registry.find(job.task)) is not None and task.executor != "process":
                self._line.append((now, job))
            else:
                others.append(job)
        if self._line:
            self.wake()
        return others

    def ended(self, job: ClaimedJob) -> None:
        """A job that is a suspect runs no more."""
        started = self._started.get((job.id, job.run))
        if started is not None:
            started.ended = self._state.clock()
            self.wake()

    def drain(self, queue: str | None = None) -> list[ClaimedJob]:
        """Take all that wait, of one queue or of all."""
        return self._take_out(lambda job: queue in (None, job.queue))

    def take_out(self, keys: Collection[tuple[int, int]]) -> list[ClaimedJob]:
        """Take out those of these (id, run)."""
        return self._take_out(lambda job: (job.id, job.run) in keys)

    def start_over(self) -> None:
        """Forget all, also those that ran: they were held under an identity that is lost."""
        self.drain()
        self._started.clear()
        self._reopen()

    def _take_out(self, chosen: Callable[[ClaimedJob], bool]) -> list[ClaimedJob]:
        with self._lock:
            out = [job for _, job in self._line if chosen(job)]
            self._line = deque(one for one in self._line if not chosen(one[1]))
            return out

    async def run_once(self) -> float | None:
        """Let the next ones start when they may; return the seconds until the next look."""
        now = self._state.clock()
        self._forget_written(now)
        self._hand_back_who_waits_long(now)
        alone = next((one for one in self._started.values() if one.alone), None)
        if alone is not None:
            await self._pardon(alone, now)
            return LOOK
        first = self._first()
        if first is None or not self._state.claiming or not self._state.holds_lease(now):
            self._reopen()
            return LOOK if first is not None or self._started else None
        if _must_be_alone(first):
            if not self._is_empty(now):
                return LOOK
        else:
            self._reopen()
            self._widen(now)
            if len(self._started) >= self._width:
                return LOOK
        if self._has_room(first):
            await self._start()
            return 0 if len(self._started) < self._width else LOOK
        return LOOK

    async def _start(self) -> None:
        """Record the start of the first in line, then let it run."""
        with self._lock:
            since, job = self._line.popleft() if self._line else (0.0, None)
        if job is None:
            return
        worker, self._starting = self._state.info.id, job
        try:
            held = await self._backend.start(job)
        except BaseException:
            with self._lock:
                self._line.appendleft((since, job))
            raise
        finally:
            self._starting = None
        if not (held and self._state.claiming and self._state.info.id == worker):
            self._finisher.add(Outcome(job.id, job.run, job.lease, "release", 0.0, None, None))
            return
        self._started[job.id, job.run] = Started(job, self._state.clock(), _must_be_alone(job))
        self._emptying_since = None
        self._buffers.urgent.append(job)
        self._rouse(1)

    def _first(self) -> ClaimedJob | None:
        with self._lock:
            return self._line[0][1] if self._line else None

    async def _pardon(self, alone: Started, now: float) -> None:
        """Let others start beside one that has been alone for long enough; from now on a crash does not end it."""
        rank = min(alone.job.crashes - MOST_CRASHES + 1, len(ALONE_SECONDS) - 1)
        if alone.ended is None and now - alone.since >= ALONE_SECONDS[rank]:
            await self._backend.pardon(alone.job)
            alone.alone = False
            self._reopen()

    def _forget_written(self, now: float) -> None:
        """Drop those whose outcome is written: until then the next crash would count against them."""
        for key, one in list(self._started.items()):
            if one.ended is not None and not (self._finisher.holds(one.job) and now - one.ended < WRITING_PATIENCE):
                del self._started[key]
                if one.alone:
                    self._reopen()

    def _widen(self, now: float) -> None:
        """Let twice as many run at the same time after each while in which nobody died; one, when nobody runs any more."""
        if not self._started:
            self._width, self._widened = 1, now
        elif now - self._widened >= PROVEN_SECONDS:
            self._width, self._widened = min(2 * self._width, self._state.info.concurrency), now

    def _note_write(self) -> None:
        if any(one.ended is not None for one in self._started.values()):
            self.wake()

    def _has_room(self, job: ClaimedJob) -> bool:
        """Whether it would start at once: a recorded start of a job that waits would count against it."""
        busy = self._running() + len(self._buffers.urgent)
        return busy < self._state.info.concurrency and self._buffers.is_open_for(job)

    def _is_empty(self, now: float) -> bool:
        """Stop the start of others, and say whether nothing runs; after a while give up, and let others meet the job."""
        self._buffers.closed = True
        self._emptying_since = now if self._emptying_since is None else self._emptying_since
        if not self._running() and not self._buffers.urgent and self._finisher.is_written:
            return True
        if now - self._emptying_since > ALONE_PATIENCE:
            with self._lock:
                waiting = [self._line.popleft()[1]] if self._line else []
            for job in waiting:
                self._release(job, ALONE_PAUSES)
            self._reopen()
        return False

    def _reopen(self) -> None:
        """Let others start, unless one runs that must be alone."""
        self._emptying_since = None
        if self._buffers.closed and not any(one.alone for one in self._started.values()):
            self._buffers.closed = False
            self._rouse(self._buffers.size)

    def _hand_back_who_waits_long(self, now: float) -> None:
        """Other workers may be idle. The one for which this worker is being emptied waits for that."""
        least = 0 if self._emptying_since is None else 1
        with self._lock:
            while len(self._line) > least and now - self._line[-1][0] > WAITING_PATIENCE:
                self._release(self._line.pop()[1], PAUSES)

    def _release(self, job: ClaimedJob, pauses: tuple[float, float]) -> None:
        self._finisher.put_off(job, random.uniform(*pauses))


def _must_be_alone(job: ClaimedJob) -> bool:
    return job.crashes >= MOST_CRASHES - 1
