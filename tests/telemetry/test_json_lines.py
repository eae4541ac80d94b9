"""JSON lines: one object a line, with the same names in each."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue.telemetry.events import Event
from pgqueue.telemetry.json_lines import JsonLines
from pgqueue.telemetry.logs import log

WORKER = f"{socket.gethostname()}:{os.getpid()}"


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record's line as an object; no line may hold a line break or what is not JSON."""
    line = JsonLines().format(record)
    assert len(line.splitlines()) == 1
    line.encode()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    parsed: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return parsed


def event_line(caplog: pytest.LogCaptureFixture, name: str, **facts: object) -> dict[str, Any]:
    """Return the line of an event."""
    with caplog.at_level(logging.INFO, "pgqueue"):
        log(Event(name, facts))
    return line_of(caplog.records[-1])


def test_a_success_has_the_facts_of_its_job_by_their_usual_names(caplog: pytest.LogCaptureFixture) -> None:
    line = event_line(
        caplog, "job.succeeded", job=42, task="a:b", queue="q", run=3, attempt=2, seconds=0.01234, trace_id="4bf9"
    )
    at = datetime.fromisoformat(line.pop("time"))
    assert at.tzinfo == UTC
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert line == {
        "level": "info",
        "event": "job.succeeded",
        "job": "42",
        "task": "a:b",
        "queue": "q",
        "run": 3,
        "attempt": 2,
        "duration_ms": 12.34,
        "status": "succeeded",
        "trace_id": "4bf9",
        "worker": WORKER,
    }


def test_a_fact_that_is_unknown_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert "trace_id" not in event_line(caplog, "job.dead", job=1, task="a", trace_id=None)


def test_an_event_of_the_worker_names_it_and_has_no_status(caplog: pytest.LogCaptureFixture) -> None:
    line = event_line(caplog, "worker.started", worker="host:1", concurrency=100)
    assert (line["worker"], line["concurrency"], "status" in line) == ("host:1", 100, False)


def test_a_record_of_a_handler_has_the_facts_of_its_job() -> None:
    logger = logging.LoggerAdapter(logging.getLogger("pgqueue.job"), {"fields": {"job": 42, "task": "a", "run": 1}})
    message, changed = logger.process("half %s", {})
    record = logger.logger.makeRecord("pgqueue.job", logging.INFO, "f", 1, message, ("way",), None, None, **changed)
    line = line_of(record)
    assert (line["logger"], line["message"], line["job"], line["task"]) == ("pgqueue.job", "half way", "42", "a")


def test_a_foreign_record_keeps_what_it_was_given() -> None:
    record = logging.makeLogRecord({"name": "shop", "msg": "a\nb", "levelname": "WARNING", "order": 7})
    line = line_of(record)
    assert (line["logger"], line["level"], line["message"], line["order"]) == ("shop", "warning", "a\nb", 7)


def test_an_exception_is_in_the_line_with_its_traceback() -> None:
    try:
        raise KeyError("ä")
    except KeyError:
        record = logging.makeLogRecord({"msg": "no", "exc_info": sys.exc_info()})
    line = line_of(record)
    assert line["error"] == "KeyError: 'ä'"
    assert line["traceback"].startswith("Traceback (most recent call last):\n")


class Mute:
    """Something that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("value", [float("nan"), "\ud800", Mute(), {1, 2}, {("a",): 1}, b"\xff", "\u2028"])
def test_no_value_breaks_a_line(value: object) -> None:
    line = line_of(logging.makeLogRecord({"msg": "x", "value": value, "other": 1}))
    assert (line["message"], line["other"]) == ("x", 1)
    assert "value" in line
