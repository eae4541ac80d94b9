"""The finisher writes outcomes: at once when it is idle, and while a write is under way, all that gathers in one batch.

Nothing that a handler reported is dropped while its lease may live: a failed write is tried again for ever. A lease is
named as emptied only after all its jobs were answered done or lost, so in a later write than theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgqueue.backend import Answer, Outcome, WorkerBackend
from pgqueue.model.errors import InvalidPayload
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service
from pgqueue.worker.state import WorkerState

LARGEST_FLUSH = 1000
MOST_PENDING = 5000
LOCKED_PAUSE = 0.05
EMPTIED_PAUSE = 0.2
MOST_SHOWN = 10
UNSTORABLE = '{"type": "Unstorable", "message": "PostgreSQL refused the text of this error or result."}'


class Finisher(Service):
    """Batches outcomes into one statement.

    Attributes:
        postponed: Called when jobs were written that run again later; set by whoever promotes them.
        relieved: Called when it is no longer behind; set by whoever takes jobs.
        written: Called after each write; set by whoever waits for one.
        back: Monotonic second by which all is due again that was put off here.
    """

    name = "finisher"

    def __init__(self, state: WorkerState, backend: WorkerBackend, events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend
        self._pending: list[Outcome] = []
        self._writing: list[Outcome] = []
        self._unsettled: list[Outcome] = []
        self._limit = LARGEST_FLUSH
        self._postpones = False
        self._when_done: dict[tuple[int, int], Callable[[], object]] = {}
        self._when_settled: dict[tuple[int, int], Callable[[], object]] = {}
        self.postponed: Callable[[], None] = lambda: None
        self.relieved: Callable[[], None] = lambda: None
        self.written: Callable[[], None] = lambda: None
        self.back = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether so many outcomes wait that no more jobs should be taken."""
        return len(self._pending) > MOST_PENDING

    @property
    def is_done(self) -> bool:
        """Whether all is written, also that the leases are empty."""
        return not (self._pending or self._writing or self._unsettled or self._state.holdings.emptied)

    @property
    def is_written(self) -> bool:
        """Whether no outcome waits to be written."""
        return not (self._pending or self._writing)

    def holds(self, job: ClaimedJob) -> bool:
        """Whether the outcome of a run is not written yet."""
        return any((one.id, one.run) == (job.id, job.run) for one in (*self._writing, *self._pending))

    def status(self) -> Mapping[str, Any]:
        """Return how many outcomes wait to be written."""
        return {"pending": len(self._pending)}

    def add(self, outcome: Outcome) -> None:
        """Write an outcome soon."""
        self._pending.append(outcome)
        if len(self._pending) == 1:
            self.wake()

    def add_later(self, outcome: Outcome) -> None:
        """Write an outcome after which the job runs again."""
        self._postpones = True
        self.add(outcome)

    def put_off(self, job: ClaimedJob, pause: float) -> None:
        """Hand a job back for so many seconds, because there is no room for it here."""

        def note() -> None:
            self.back = max(self.back, self._state.clock() + pause)

        note()  # in case the answer to the write is lost; it counts from the write
        self.when_done(job, note)
        self.add_later(Outcome(job.id, job.run, job.lease, "release", pause, None, None))

    def when_done(self, job: ClaimedJob, call: Callable[[], object]) -> None:
        """Call this once the outcome of a run is written; never, if it changes nothing."""
        self._when_done[job.id, job.run] = call

    def when_settled(self, job: ClaimedJob, call: Callable[[], object]) -> None:
        """Call this once the outcome of a run changed nothing because it had been recorded before."""
        self._when_settled[job.id, job.run] = call

    async def run_once(self) -> float | None:
        """Write one batch; return the seconds until the next."""
        if self._unsettled:
            await self._settle()
        was_behind = self.is_behind
        batch, self._pending = self._pending[: self._limit], self._pending[self._limit :]
        emptied = set(self._state.holdings.emptied)
        if not batch and not emptied:
            return None
        self._writing = batch
        try:
            locked = await self._write(batch, emptied)
        except InvalidPayload:
            if len(batch) == 1 and batch[0].result is None and batch[0].error in (None, UNSTORABLE):
                self._pending.extend(batch)  # behind the others, which it must not hold up
                raise
            self._pending[:0] = self._narrow(batch)
            return 0
        except Exception:
            self._pending[:0] = batch
            raise
        finally:
            self._writing = []
        if was_behind and not self.is_behind:
            self.relieved()
        if self._postpones:
            self._postpones = False
            self.postponed()
        self._limit = min(LARGEST_FLUSH, self._limit * 2)
        self._pending.extend(locked)
        self.written()
        if len(self._pending) > len(locked) or self._unsettled:
            return 0
        return LOCKED_PAUSE if locked else EMPTIED_PAUSE if self._state.holdings.emptied else None

    async def drain(self, patience: float) -> None:
        """End, and write all that waits, for at most so many seconds; the rest is rescued by whoever sweeps."""
        deadline = self._state.clock() + patience
        await self.stop()
        while not self.is_done and (left := deadline - self._state.clock()) > 0:
            pause = await self._attempt() or 0
            await asyncio.sleep(min(pause, left))

    def tell_unwritten(self) -> int:
        """Tell of jobs whose outcome could not be written, such as one that an open transaction has locked; return how many."""
        left = [outcome.id for outcome in (*self._writing, *self._pending)]
        if left:
            shown = ", ".join(map(str, left[:MOST_SHOWN]))
            self.events.emit("jobs.unwritten", jobs=len(left), ids=shown)
        return len(left)

    def given_back(self, outcomes: Sequence[Outcome], answers: Sequence[Answer] | None) -> None:
        """Take note of jobs that the heartbeat handed back; None: it could not, so that is to be done here."""
        for outcome, answer in zip(outcomes, answers or ["locked"] * len(outcomes), strict=True):
            if answer == "locked":
                self.add(outcome)
            else:
                self._state.holdings.answered([outcome])
        self.wake()

    def forget(self) -> None:
        """Drop what waits: its leases are another worker's now."""
        self._pending.clear()
        self._unsettled.clear()
        self._when_done.clear()
        self._when_settled.clear()

    async def _write(self, batch: Sequence[Outcome], emptied: set[int]) -> list[Outcome]:
        """Write a batch; return the outcomes that another transaction has locked."""
        holdings, now = self._state.holdings, self._state.clock()
        answers = await self._backend.finish(batch, emptied, now)
        holdings.emptied -= emptied
        by_answer: dict[Answer, list[Outcome]] = {"done": [], "lost": [], "locked": []}
        for outcome, answer in zip(batch, answers, strict=True):
            by_answer[answer].append(outcome)
        holdings.answered([*by_answer["done"], *by_answer["lost"]])
        self._unsettled.extend(outcome for outcome in by_answer["lost"] if outcome.started is not None)
        if self._when_done or self._when_settled:
            self._call_when_done(by_answer["done"], by_answer["lost"])
        return by_answer["locked"]

    def _call_when_done(self, done: Sequence[Outcome], lost: Sequence[Outcome]) -> None:
        for outcome in lost:
            self._when_done.pop((outcome.id, outcome.run), None)
        for outcome in done:
            self._when_settled.pop((outcome.id, outcome.run), None)
            self._when_done.pop((outcome.id, outcome.run), _nothing)()

    async def _settle(self) -> None:
        """Tell of outcomes that changed nothing, unless an earlier write whose answer was lost had recorded them."""
        recorded = await self._backend.settle(self._unsettled, self._state.clock())
        lost, self._unsettled = self._unsettled, []
        for outcome in lost:
            call = self._when_settled.pop((outcome.id, outcome.run), _nothing)
            if (outcome.id, outcome.run) in recorded:
                call()
            else:
                self.events.emit("job.lost", job=outcome.id, run=outcome.run, verdict=outcome.verdict)

    def _narrow(self, batch: list[Outcome]) -> list[Outcome]:
        """One text that the database refuses must not hold up the others: halve the batch until it stands alone."""
        self._limit = max(1, len(batch) // 2)
        return [batch[0]._replace(error=UNSTORABLE, result=None)] if len(batch) == 1 else batch


def _nothing() -> None:
    """Nobody waits for this outcome."""
