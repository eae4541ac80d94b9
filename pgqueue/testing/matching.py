"""Which jobs an assertion means: pure, no I/O."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pgqueue.backend import JobRecord
from pgqueue.model.errors import InvalidArguments, InvalidOption
from pgqueue.model.states import LIVE, JobState
from pgqueue.tasks import Declaration, Registry, Task

ABOUT = timedelta(seconds=1)  # how near run_at and delay have to be
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job has to be; None is anything.

    Attributes:
        task: Name of the task.
        args: Arguments by name; others do not count.
        tags: All of these.
        headers: All of these.
        states: Any of these.
        run_at: Due then, give or take a second.
        delay: Due so long after it was enqueued, give or take a second.
        within: Due at the latest so long from now.
    """

    task: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    priority: int | None = None
    tags: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    states: frozenset[str] = LIVE
    run_at: datetime | None = None
    delay: timedelta | None = None
    within: timedelta | None = None

    def matches(self, job: JobRecord, declaration: Declaration | None, now: datetime) -> bool:
        """Say whether a job is wanted.

        Args:
            declaration: Its task, where the application knows it.
            now: The database's time.
        """
        return (
            job.state in self.states
            and self.task in (None, job.task)
            and self.queue in (None, job.queue)
            and self.priority in (None, job.priority)
            and set(self.tags) <= set(job.tags or ())
            and self.headers.items() <= (job.headers or {}).items()
            and self._is_due(job, now)
            and (not self.args or _has(job.args, arguments(job, declaration), self.args))
        )

    def _is_due(self, job: JobRecord, now: datetime) -> bool:
        return (
            (self.run_at is None or abs(job.run_at - self.run_at) <= ABOUT)
            and (self.delay is None or abs(job.run_at - job.enqueued_at - self.delay) <= ABOUT)
            and (self.within is None or job.run_at <= now + self.within)
        )

    def __str__(self) -> str:
        return " ".join(self._words())

    def _words(self) -> Iterator[str]:
        if self.task is not None:
            yield self.task
        if self.args:
            yield "with " + ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        for name in ("queue", "priority", "tags", "headers"):
            value = getattr(self, name)
            if value not in (None, (), {}):
                yield f"{name}={value!r}"
        if self.states != LIVE:
            yield f"state={'|'.join(sorted(self.states))}"
        if self.run_at is not None:
            yield f"run_at={self.run_at.isoformat(sep=' ')}"
        if self.delay is not None:
            yield f"delay={self.delay}"
        if self.within is not None:
            yield f"due within {self.within}"


def task_name(task: Task[..., Any] | str | None) -> str | None:
    """Return the name of a task given as itself or by name; None is any.

    Raises:
        InvalidArguments: It is neither.
    """
    if task is None or isinstance(task, str):
        return task
    if isinstance(task, Task):
        return task.name
    raise InvalidArguments(f"{task!r} is not a task.", "Pass the decorated function, or the task's name.")


def check_names(names: Mapping[str, Any], task: str | None, registry: Registry) -> None:
    """Refuse arguments that the task does not have: no job could match, and a refutation would always hold.

    Raises:
        InvalidArguments: The task has no such parameter.
    """
    declaration = None if task is None else registry.find(task)
    if declaration is None:
        return
    parameters = declaration.shape.signature.parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in names if name not in parameters]
    if unknown:
        raise InvalidArguments(
            f"{task} has no parameter {', '.join(unknown)}.", f"Its signature is {declaration.shape.signature}."
        )


def states_of(state: str | None) -> frozenset[str]:
    """Return the states that count: one, or all of live jobs.

    Raises:
        InvalidOption: There is no such state.
    """
    if state is None:
        return LIVE
    if state not in set(JobState):
        raise InvalidOption(f"{state!r} is not a state.", f"The states are {', '.join(JobState)}.")
    return frozenset({state})


def arguments(job: JobRecord, declaration: Declaration | None) -> Mapping[str, Any]:
    """Return a job's arguments as its handler would get them, defaults included; as stored where that cannot be told."""
    stored: Mapping[str, Any] = job.args or {}
    if declaration is None or job.args is None:
        return stored
    try:
        positional, named = declaration.shape.decode(json.dumps(stored))
        bound = declaration.shape.signature.bind_partial(*positional, **named)
    except Exception:  # noqa: BLE001 - converters are anybody's, and what was stored may be of another version
        return stored
    bound.apply_defaults()
    found = dict(bound.arguments)
    for name, parameter in declaration.shape.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found |= found.pop(name, {})
    return found


def _has(stored: Any, decoded: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    raw = stored if isinstance(stored, Mapping) else {}
    return all(
        _equal(value, decoded.get(name, _ABSENT)) or _equal(_as_stored(value), raw.get(name, _ABSENT))
        for name, value in wanted.items()
    )


def _equal(wanted: object, found: object) -> bool:
    return found is not _ABSENT and bool(wanted == found)


def _as_stored(value: object) -> object:
    """Return a value as JSON gives it back: tuples are lists. What JSON cannot hold stays as it is."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return value
