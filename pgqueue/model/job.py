"""A job before it is stored, what the caller holds afterwards, and what a worker holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple

from typing_extensions import TypeVar

from pgqueue.model.options import JobOptions

R = TypeVar("R", default=object)


@dataclass(frozen=True, slots=True)
class JobSpec(Generic[R]):
    """A job that is not stored yet, made by ``task.job(...)``.

    Attributes:
        task: Name of the task.
        args: Its arguments, a JSON object by parameter name.
        options: Options of the task and of the call, merged.
    """

    task: str
    args: str
    options: JobOptions


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """A stored job. It exists once the transaction that enqueued it commits.

    Attributes:
        id: Its id; text on every backend, ``bigint`` in SQL.
        task: Name of its task.
        queue: Name of its queue.
        created: False when another job already held the key.
    """

    id: str
    task: str
    queue: str
    created: bool = True


class ClaimedJob(NamedTuple):
    """A job that this worker holds. A tuple, because one is made per job."""

    id: int
    run: int
    attempt: int
    crashes: int
    max_retries: int
    timeout_ms: int
    task: str
    args: str
    headers: Mapping[str, str] | None
    tags: Sequence[str] | None
    enqueued_at: datetime
    lease: int
    queue: str
