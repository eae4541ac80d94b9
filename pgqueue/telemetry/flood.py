"""Successes for people: each its own line, and in a flood one line a second with their number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from pgqueue.telemetry.events import SUCCESS, Event, Subscriber

MOST = 50
WINDOW = 1.0

Later: TypeAlias = Callable[[float, Callable[[], None]], object]


def _later(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True  # a last number is no reason to live
    timer.start()


class Successes:
    """A subscriber that passes successes on, at most 50 a second; the others as "jobs.succeeded" with their number.

    A second that had more is followed by one of which only the number is told, so that a lasting flood is one line a second.

    Args:
        tell: Where they go.
        later: Calls a function after so many seconds; a timer's thread.
    """

    def __init__(self, tell: Subscriber, later: Later = _later) -> None:
        self._tell = tell
        self._later = later
        self._lock = threading.Lock()
        self._count = self._untold = 0
        self._is_flooded = self._is_open = False

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if event.name == SUCCESS:
            with self._lock:
                opens, self._is_open = not self._is_open, True
                self._count += 1
                is_told = not self._is_flooded and self._count <= MOST
                self._untold += not is_told
            if opens:
                self._later(WINDOW, self._end_window)
            if is_told:
                self._tell(event)
        elif event.name == "worker.stopped":
            self._tell_number()

    def _end_window(self) -> None:
        with self._lock:
            self._is_flooded = self._count > MOST
            self._is_open = self._is_flooded  # the next second is counted too, to see the end of the flood
            self._count = 0
            goes_on = self._is_open
        self._tell_number()
        if goes_on:
            self._later(WINDOW, self._end_window)

    def _tell_number(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, 0
        if untold:
            self._tell(Event("jobs.succeeded", {"jobs": untold}))
