"""The stream: whoever has something to tell emits once, whoever wants to know subscribes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


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

    def emit(self, name: str, **fields: Any) -> None:
        """Tell all subscribers."""
        if self._subscribers:
            event = Event(name, fields)
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    logging.getLogger("pgqueue").exception("A subscriber failed on %s.", name)
