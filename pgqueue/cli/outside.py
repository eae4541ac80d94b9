"""Who watches from outside: a health check over HTTP, a file, systemd. They see a worker, or the parent of several, alike."""

from __future__ import annotations

import os
from contextlib import ExitStack

from pgqueue.telemetry.events import Events
from pgqueue.worker.health import HealthServer
from pgqueue.worker.notifier import service_manager, watchdog_seconds
from pgqueue.worker.observed import Follower, Observed
from pgqueue.worker.readiness import ReadyFile


class Outside:
    """Opens what was asked for, for the length of a ``with`` block.

    Args:
        health: HOST:PORT, :PORT or PORT; None: no health check over HTTP.
        ready_file: Path; None: no file.

    Attributes:
        followers: To be told how it is, once a second.
        every: Within how many seconds they have to be told; None: a second will do.

    Raises:
        InvalidOption, ConfigurationError: The address or the path cannot be used.
    """

    def __init__(self, seen: Observed, *, health: str | None, ready_file: str | None, events: Events) -> None:
        self.followers: list[Follower] = []
        self._open = ExitStack()
        if ready_file is not None:
            file = ReadyFile(ready_file)
            self._open.callback(file.remove)
            self.followers.append(file)
        if health is not None:
            server = self._open.enter_context(HealthServer(health, seen))
            events.emit("health.serving", address=server.address)
        watchdog = watchdog_seconds(os.environ)
        self.every = None if watchdog is None else watchdog / 2
        if (manager := service_manager(os.environ)) is not None:
            self._open.callback(manager.close)
            self.followers.append(manager)

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
