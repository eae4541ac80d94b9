"""The listener turns notifications into wake-ups. It is never alone: behind it stands the claimer's poll."""

from __future__ import annotations

from collections.abc import Callable

from pgqueue.backend import WorkerBackend
from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service


class Listener(Service):
    """Listens until the connection breaks, then again.

    Args:
        ready: Called with a queue that has work; with None after each connect, for what was missed.
        paused: Called with a queue that was paused.
        due: Called when a job is due sooner than the promoter would look.
        cancelled: Called when a job that somebody holds was cancelled.
    """

    name = "listener"

    def __init__(
        self,
        backend: WorkerBackend,
        ready: Callable[[str | None], None],
        due: Callable[[], None],
        paused: Callable[[str], None],
        cancelled: Callable[[], None],
        events: Events,
    ) -> None:
        super().__init__(events)
        self._backend = backend
        self._ready = ready
        self._due = due
        self._paused = paused
        self._cancelled = cancelled

    async def run_once(self) -> float | None:
        """Listen until the connection breaks."""
        async for notice in self._backend.notices():
            if notice.kind == "cancel":
                self._cancelled()
            elif notice.kind == "due":
                self._due()
            elif notice.kind == "paused":
                self._paused(notice.queue)
            else:
                self._ready(notice.queue or None)
        return 0
