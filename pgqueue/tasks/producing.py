"""Where enqueue ends: what a producer does, and the values that it exchanges with the handles of tasks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidArguments, InvalidOption
from pgqueue.model.job import JobSpec
from pgqueue.tasks.jobs import Job, JobResults, Origin

Returning: TypeAlias = Literal["jobs", "ids", "count"]
Outcome: TypeAlias = Literal["created", "held", "replaced"]
Progress: TypeAlias = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Handle:
    """What a caller passed to ``using``.

    Attributes:
        given: Its connection, cursor or session.
        bind: Which of a session's databases is meant: an engine, or a mapped class.
    """

    given: object
    bind: object = None


class Stored(NamedTuple):
    """What became of a job that was to be stored.

    Attributes:
        id: Its id, or that of the job that holds its key.
    """

    id: str
    outcome: Outcome
    origin: Origin


class Written(NamedTuple):
    """What became of a chunk of jobs, in their order; columns, because a bulk may be of millions.

    Attributes:
        outcomes: None: all were created.
    """

    ids: list[str]
    outcomes: list[Outcome] | None
    origin: Origin

    def each(self) -> Iterator[Stored]:
        """Yield what became of each."""
        if self.outcomes is None:
            for job_id in self.ids:
                yield Stored(job_id, "created", self.origin)
        else:
            for job_id, outcome in zip(self.ids, self.outcomes, strict=True):
                yield Stored(job_id, outcome, self.origin)

    @property
    def created(self) -> int:
        """How many were created."""
        return len(self.ids) if self.outcomes is None else self.outcomes.count("created")


class Receive(Protocol):
    """Is told what became of each chunk of a bulk."""

    @property
    def may_raise(self) -> bool:
        """Whether it calls the caller's code: then even a single statement needs a way back."""
        ...

    def __call__(self, specs: Sequence[JobSpec[Any]], written: Written, /) -> None:
        """Take what became of a chunk."""
        ...


class JobWriter(Protocol):
    """Writes jobs. ``handle`` is the caller's transaction; None: a connection of the writer's own."""

    def enqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job."""
        ...

    async def aenqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job on an async handle."""
        ...

    def enqueue_many(self, handle: Handle | None, jobs: Iterable[JobSpec[Any]], receive: Receive) -> None:
        """Write jobs, all or none; tell what became of them, chunk by chunk in their order."""
        ...

    async def aenqueue_many(
        self, handle: Handle | None, jobs: Iterable[JobSpec[Any]] | AsyncIterable[JobSpec[Any]], receive: Receive
    ) -> None:
        """Write jobs on an async handle."""
        ...


class Producer(JobWriter, Protocol):
    """Where enqueue ends."""

    @property
    def results(self) -> JobResults:
        """Answers what a job asks."""
        ...


def held(spec: JobSpec[Any], stored: Stored, results: JobResults) -> Job[Any]:
    """Return what a caller holds of a spec that was stored."""
    created, replaced = stored.outcome == "created", stored.outcome == "replaced"
    queue = spec.options.queue or "default"
    return Job(stored.id, spec.task, queue, created, replaced, stored.origin).asking(results)


class Collector:
    """Gathers what a bulk returns, and tells its progress. See ``Receive``.

    Raises:
        InvalidOption: ``returning`` is no such word, or ``progress`` cannot be called.
    """

    def __init__(self, returning: Returning, progress: Progress | None, results: JobResults) -> None:
        if returning not in ("jobs", "ids", "count"):
            raise InvalidOption(f"returning={short(returning)} is not jobs, ids or count.", "Leave it out for jobs.")
        if progress is not None and not callable(progress):
            raise InvalidOption(f"progress={short(progress)} cannot be called.", "Pass a function of one number.")
        self._returning = returning
        self._progress = progress
        self._results = results
        self._items: list[Any] = []
        self._created = 0
        self._done = 0

    @property
    def may_raise(self) -> bool:
        """Whether somebody is told of the progress."""
        return self._progress is not None

    def __call__(self, specs: Sequence[JobSpec[Any]], written: Written, /) -> None:
        """Take what became of a chunk."""
        if self._returning == "ids":
            self._items.extend(written.ids)
        elif self._returning == "jobs":
            self._items.extend(held(spec, one, self._results) for spec, one in zip(specs, written.each(), strict=True))
        self._created += written.created
        self._done += len(specs)
        if self._progress is not None:
            self._progress(self._done)

    @property
    def answer(self) -> Any:
        """The jobs, their ids, or how many were created."""
        return self._created if self._returning == "count" else self._items


def check_jobs(specs: Iterable[object]) -> None:
    """Refuse elements of a bulk that are no jobs.

    Raises:
        InvalidArguments: One was not made by ``task.job(...)``.
    """
    for spec in specs:
        if not isinstance(spec, JobSpec):
            raise InvalidArguments(f"{short(spec)} is not a job.", "Make it with task.job(...).")
