"""Log records of child processes: the worker logs them, so that a handler's logs look the same in all executors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pgqueue.worker.wire import Line, Message

LONGEST_TEXT = 30_000  # characters of each text of a record
LONGEST_RECORD = 200_000  # of all its texts; as JSON a character takes up to 12 bytes
DEEPEST_FACT = 5  # levels of mappings
_BESIDES = 24  # characters that a name, or what is no text, takes beside itself
_OWN = frozenset({*logging.makeLogRecord({}).__dict__, "taskName", "message"})
_KEPT = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created", "msecs")


class RelayHandler(logging.Handler):
    """Sends log records to the worker, which logs them as its own.

    Args:
        line: To the worker.
    """

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; from a process that a handler forked it goes to stderr."""
        if not self._line.is_open:
            if logging.lastResort is not None:
                logging.lastResort.handle(record)
            return
        try:
            self._line.send({"kind": "log", "record": self._as_message(record)})
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)

    def _as_message(self, record: logging.LogRecord) -> Message:
        trace = record.exc_text
        if trace is None and record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
        facts = {
            **{name: getattr(record, name) for name in _KEPT},
            "threadName": record.threadName,
            "msg": record.getMessage(),
            "exc_text": None if trace is None else trace[-LONGEST_TEXT:],
            "stack_info": record.stack_info,
            **{name: value for name, value in record.__dict__.items() if name not in _OWN},
        }
        return _Room(LONGEST_RECORD).facts(facts)


class _Room:
    """Cuts what a record says to what there is room for.

    Args:
        left: Characters.
    """

    def __init__(self, left: int) -> None:
        self._left = left

    def facts(self, facts: Mapping[Any, Any], depth: int = 0) -> Message:
        """Return facts as JSON holds them; those that there is no room for are left out."""
        kept: Message = {}
        for name, value in facts.items():
            if self._left <= 0:
                break
            kept[self._text(name)] = self._fact(value, depth)
        return kept

    def _fact(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping) and depth < DEEPEST_FACT:
            return self.facts(value, depth + 1)
        if value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
            self._left -= _BESIDES
            return value
        return self._text(value)

    def _text(self, value: object) -> str:
        try:
            text = str(value)[: min(LONGEST_TEXT, max(self._left, 0))]
        except Exception:  # noqa: BLE001 - a value may be anything
            text = f"({type(value).__name__} that cannot be shown)"
        self._left -= len(text) + _BESIDES
        return text


def log_here(message: Message, facts: Mapping[str, Any]) -> None:
    """Log a child's record in this process.

    Args:
        facts: Those of the job that the child runs, added where the record says nothing of them.
    """
    record = logging.makeLogRecord({**facts, **message})
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def levels() -> dict[str, int]:
    """Return the levels that loggers of this process have been given; of the root logger under an empty name."""
    named = {
        name: logger.level
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": logging.root.level, **named}


def take_over(chosen: Mapping[str, int], line: Line) -> None:
    """Let all records of this process go to the worker, whatever handlers the application's modules have set.

    Args:
        chosen: Levels by name.
    """
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    logging.root.handlers[:] = [RelayHandler(line)]
    set_levels(chosen)


def set_levels(chosen: Mapping[str, int]) -> None:
    """Give the loggers of this process their levels."""
    for name, level in chosen.items():
        logging.getLogger(name or None).setLevel(level)
