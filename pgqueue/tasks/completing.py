"""How a handler ends its job by its own hand."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pgqueue.tasks.producing import Handle


class Ending(NamedTuple):
    """How a job ends by its handler's own hand.

    Attributes:
        ago: Seconds since the handler was called.
        result: JSON, or None.
    """

    id: int
    run: int
    lease: int
    ago: float
    result: str | None


class Completer(Protocol):
    """Ends jobs in their handlers' own transactions."""

    def complete(self, handle: Handle, ending: Ending) -> bool:
        """End a job as succeeded; False: it is not this run's any more. Asynq: nothing alike."""
        ...

    async def acomplete(self, handle: Handle, ending: Ending) -> bool:
        """End a job on an async handle."""
        ...
