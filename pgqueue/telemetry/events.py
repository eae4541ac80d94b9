"""The stream: whoever has something to tell emits once, whoever wants to know subscribes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from pgqueue.model.errors import message_of

SUCCESS = "job.succeeded"


class Event(NamedTuple):
    """Something that happened: a name like "worker.started" and its facts."""

    name: str
    fields: Mapping[str, Any]


Subscriber: TypeAlias = Callable[[Event], None]


class Events:
    """Hand each event to every subscriber, at once and in order. One that raises is logged and holds nothing up.

    Attributes:
        successes: Whether anybody wants to hear of jobs that succeeded; without, nobody has to make those events.
    """

    def __init__(self) -> None:
        self.successes = False
        self._subscribers: list[tuple[Subscriber, bool]] = []

    def subscribe(self, subscriber: Subscriber, *, successes: bool = False) -> None:
        """Call ``subscriber`` with every later event; it must be quick.

        Args:
            successes: Whether it is told of each job that succeeded too. Subscribing again changes only this.
        """
        others = [(other, wants) for other, wants in self._subscribers if other != subscriber]
        self._subscribers = [*others, (subscriber, successes)]
        self.successes = any(wants for _, wants in self._subscribers)

    def tell_failure(self, service: str, error: BaseException, again_in: float | None = None) -> None:
        """Emit "service.failed": what failed, why, and in how many seconds it is tried again, if it is."""
        again = {} if again_in is None else {"again_in": round(again_in, 2)}
        self.emit("service.failed", service=service, error=f"{type(error).__name__}: {message_of(error)}", **again)

    def emit(self, name: str, **fields: Any) -> None:
        """Tell all subscribers; of a success, those who asked."""
        if self._subscribers:
            event = Event(name, fields)
            for subscriber, successes in self._subscribers:
                if successes or name != SUCCESS:
                    self._tell(subscriber, event)

    def _tell(self, subscriber: Subscriber, event: Event) -> None:
        try:
            subscriber(event)
        except Exception:
            logging.getLogger("pgqueue").exception("A subscriber failed on %s.", event.name)
