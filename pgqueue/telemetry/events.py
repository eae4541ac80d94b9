"""The stream: whoever has something to tell emits once, whoever wants to know subscribes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pgqueue.model.errors import message_of


class Event(NamedTuple):
    """Something that happened: a name like "worker.started" and its facts."""

    name: str
    fields: Mapping[str, Any]


class Events:
    """Hand each event to every subscriber, at once and in order. One that raises is logged and holds nothing up."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with every later event; it must be quick."""
        self._subscribers.append(subscriber)

    def tell_failure(self, service: str, error: BaseException, again_in: float | None = None) -> None:
        """Emit "service.failed": what failed, why, and in how many seconds it is tried again, if it is."""
        again = {} if again_in is None else {"again_in": round(again_in, 2)}
        self.emit("service.failed", service=service, error=f"{type(error).__name__}: {message_of(error)}", **again)

    def emit(self, name: str, **fields: Any) -> None:
        """Tell all subscribers."""
        if self._subscribers:
            event = Event(name, fields)
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    logging.getLogger("pgqueue").exception("A subscriber failed on %s.", name)
