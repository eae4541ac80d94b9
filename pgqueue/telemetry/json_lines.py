"""Log records as JSON: one object a line, the same names in every line."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pgqueue.telemetry.kinds import kind_of

FIRST = ("job", "task", "queue", "run", "attempt", "duration_ms", "status", "trace_id", "worker", "error")
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "event", "fields", "taskName"}
_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}  # some readers take them for the end of a line


class JsonLines(logging.Formatter):
    """A formatter for events, for the records of ``ctx.logger``, and for all others.

    A line has ``time`` (UTC), ``level``, then ``event`` or ``logger`` and ``message``, then the facts. Of a job: ``job`` (its
    id, text), ``task``, ``queue``, ``run``, ``attempt``, ``duration_ms``, ``status``, ``trace_id``. ``worker`` is in each.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        event = getattr(record, "event", None)
        if event:
            line["event"] = event
        else:
            line.update(logger=record.name, message=record.getMessage())
        line.update(_facts(record, event))
        if record.exc_info and record.exc_info[0] is not None:
            line.update(
                error=f"{record.exc_info[0].__name__}: {record.exc_info[1]}",
                traceback=self.formatException(record.exc_info),
            )
        elif record.exc_text:  # of a child process, where the exception stayed
            line.update(error=record.exc_text.rsplit("\n", 1)[-1], traceback=record.exc_text)
        return _as_json(line)


def _facts(record: logging.LogRecord, event: str | None) -> dict[str, Any]:
    own = {name: value for name, value in record.__dict__.items() if name not in _USUAL}
    fields = getattr(record, "fields", None)
    given = {**own, **fields} if isinstance(fields, Mapping) else own
    if event:
        status = kind_of(event, given).status
        given |= {"status": status} if status else {}
    if "seconds" in given:
        given["duration_ms"] = round(given.pop("seconds") * 1000, 3)
    if given.get("job") is not None:
        given["job"] = str(given["job"])
    given.setdefault("worker", f"{socket.gethostname()}:{record.process or os.getpid()}")
    first = {name: given.pop(name) for name in FIRST if given.get(name) is not None}
    return {**first, **{name: value for name, value in given.items() if value is not None and name not in first}}


def _as_json(line: dict[str, Any]) -> str:
    try:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, default=_as_text)
        if not text.isascii():
            text.encode()
            text = text.translate(_BREAKS)
    except (ValueError, TypeError):  # NaN, a circle, half a character: what JSON and UTF-8 lack is said in ASCII
        text = json.dumps({str(name): _plain(value) for name, value in line.items()})
    return text


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | None) else _as_text(value)


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value may be anything
        return f"(cannot be shown: {type(error).__name__})"
