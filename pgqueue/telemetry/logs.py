"""Events as log records, and where the command writes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TextIO

from pgqueue.telemetry.console import Console, wants_colour
from pgqueue.telemetry.events import Event, Events
from pgqueue.telemetry.flood import Successes
from pgqueue.telemetry.json_lines import JsonLines
from pgqueue.telemetry.kinds import kind_of, sentence_of, subject_of

logger = logging.getLogger("pgqueue")


class Said:
    """The message of an event's record: made when somebody reads it."""

    __slots__ = ("_facts", "_name")

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        self._name = name
        self._facts = facts

    def __str__(self) -> str:
        subject, sentence = subject_of(self._name, self._facts), sentence_of(self._name, self._facts)
        return ": ".join(filter(None, [subject, sentence])) or self._name


def log(event: Event) -> None:
    """Write an event to the logger "pgqueue"; its name and facts go along as ``record.event`` and ``record.fields``."""
    level = kind_of(event.name, event.fields).level
    if logger.isEnabledFor(level):
        facts = dict(event.fields)
        logger.log(level, "%s", Said(event.name, facts), extra={"event": event.name, "fields": facts})


def log_to(stream: TextIO, *, as_json: bool) -> logging.Handler:
    """Write all log records of this process to a stream, from level INFO on.

    Args:
        as_json: As JSON lines; else as lines for people, in colour where the stream and the environment want it.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else Console(colour=wants_colour(stream)))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler


def log_successes(events: Events, *, as_json: bool) -> None:
    """Log each job that succeeds, too; for people a flood of them is one line a second."""
    events.subscribe(log if as_json else Successes(log), successes=True)
