"""The storage as a producer sees it, and what it may be asked about the jobs that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pgqueue.tasks import Completer, JobWriter, Origin


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: what its task returned, as parsed JSON, or why it returned nothing."""

    state: str
    task: str
    result: Any
    error_type: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class AskStates:
    """Where do jobs stand? Answered by state per id; "uncommitted", "rolled back", "not found" and "elsewhere" are answers too.

    Attributes:
        origins: Parallel; where each was written, None when that is not known.
    """

    ids: Sequence[str]
    origins: Sequence[Origin | None]


@dataclass(frozen=True, slots=True)
class AskEnds:
    """How did jobs end? Answered by ``Ended`` per id."""

    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class AskCancel:
    """Cancel a job; answered as by ``InspectBackend.cancel``."""

    id: str
    actor: str


Question: TypeAlias = AskStates | AskEnds | AskCancel


class ProducerBackend(JobWriter, Completer, Protocol):
    """Where enqueue ends, and what a caller may ask of its jobs. Asynq: Enqueue and BatchEnqueue, each task by itself and
    never in a caller's transaction.
    """

    def ask(self, question: Question) -> Any:
        """Answer a question. Asynq: GetTaskInfo, DeleteTask and CancelProcessing."""
        ...

    async def aask(self, question: Question) -> Any:
        """Answer a question without blocking the event loop."""
        ...

    def close(self) -> None:
        """Close the pools of the calling process."""
        ...

    async def aclose(self) -> None:
        """Close the pools of the calling event loop."""
        ...
