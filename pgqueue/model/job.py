"""A job before it is stored, and what a worker holds."""

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


class ClaimedJob(NamedTuple):
    """A job that this worker holds. A tuple, because one is made per job.

    Attributes:
        crashes: How often its worker may have died of it; more than 0: it is a suspect.
        expires: Monotonic second until which it must have started; None: no such time.
        until: Monotonic second by which each attempt must have ended; None: no such time.
    """

    id: int
    run: int
    attempt: int
    crashes: int
    max_retries: int
    timeout_ms: int
    task: str
    payload: str
    headers: Mapping[str, str] | None
    tags: Sequence[str] | None
    enqueued_at: datetime
    has_key: bool
    expires: float | None
    until: float | None
    lease: int
    queue: str
