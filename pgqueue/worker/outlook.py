"""How a worker is, put together from what its parts say of themselves. Any thread may ask; nothing here waits."""

from __future__ import annotations

from typing import Any, Literal

from pgqueue.worker.buffers import Buffers
from pgqueue.worker.heartbeat import Heartbeat
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState

LIVE_SECONDS = 30.0


class Outlook:
    """What health checks, service managers and parents see. See ``Observed``.

    Attributes:
        stage: Where it is in its life.
        services: Those that have to run, and that say more under their names.
        heartbeat: None before the start.
    """

    def __init__(self, state: WorkerState, buffers: Buffers, slots: Slots) -> None:
        self.stage: Literal["starting", "started", "stopping", "stopped"] = "starting"
        self.services: list[Service] = []
        self.heartbeat: Heartbeat | None = None
        self._state = state
        self._buffers = buffers
        self._slots = slots

    @property
    def is_live(self) -> bool:
        """Whether the event loop turned within the last 30 s; before the start and after the end, nobody asks that of it."""
        return self.stage in {"starting", "stopped"} or self._state.clock() - self._state.turned < LIVE_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it holds its lease and takes jobs."""
        return self.stage == "started" and self._state.claiming and self._state.holds_lease(self._state.clock())

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.stage in {"stopping", "stopped"}

    @property
    def is_sound(self) -> bool:
        """Whether all its services run, or it stops. That the database is away makes none of them end."""
        if self.stage != "started" or self.heartbeat is None:
            return True
        return self.heartbeat.is_alive and all(service.is_alive for service in self.services)

    def summary(self) -> str:
        """Say in a few words how it is."""
        running, waiting, free = len(self._slots.running), self._buffers.size, self._slots.free
        return f"{self._word()}: {running} running, {waiting} buffered, {free} slots free"

    def status(self) -> dict[str, Any]:
        """Say all that is known, in values that JSON has; each service under its name."""
        info, now = self._state.info, self._state.clock()
        return {
            "state": self._word(),
            "worker": info.name,
            "id": str(info.id),
            "version": info.version,
            "queues": self._queues(),
            "concurrency": info.concurrency,
            "running": len(self._slots.running),
            "free": self._slots.free,
            "buffered": self._buffers.size,
            "taken": self._buffers.taken,
            "zombies": self._slots.threads.zombies,
            "lease_seconds_left": round(max(0.0, self._state.lease_until - now), 1),
            "loop_turned_seconds_ago": round(now - self._state.turned, 1),
            **{service.name: dict(told) for service in self.services if (told := service.status())},
        }

    def _queues(self) -> dict[str, Any]:
        return {
            queue: {"weight": weight, "buffered": self._buffers.waiting(queue)}
            for queue, weight in self._state.weights.items()
        }

    def _word(self) -> str:
        if self.stage != "started":
            return self.stage
        if not self._state.claiming:
            return "quiet"
        return "ready" if self.is_ready else "database away"
