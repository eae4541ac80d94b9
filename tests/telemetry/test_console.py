"""The console: a calm line for each event, in colour where it is wanted."""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path

import pytest

import pgqueue
from pgqueue.telemetry.console import LONGEST_TRACEBACK, Console, shortened, wants_colour
from pgqueue.telemetry.events import Event
from pgqueue.telemetry.kinds import KINDS
from pgqueue.telemetry.logs import log

TIME = re.compile(r"\d\d:\d\d:\d\d  ")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def console() -> Console:
    return Console(colour=False)


def shown(console: Console, caplog: pytest.LogCaptureFixture, name: str, **facts: object) -> str:
    """Return what the console shows of an event, without its time."""
    with caplog.at_level(logging.INFO, "pgqueue"):
        log(Event(name, facts))
    text = console.format(caplog.records[-1])
    assert TIME.match(text), text
    return text[10:]


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_is_for_terminals_and_for_those_who_ask(
    terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    assert wants_colour(Terminal() if terminal else io.StringIO(), environment) is colour


def test_the_lines_of_jobs_are_aligned(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    lines = [
        shown(console, caplog, "job.retried", job=7, task="shop.receipt", attempt=1, again_in=15, error="E: x"),
        shown(console, caplog, "job.succeeded", job=8, task="shop.mail", seconds=0.012),
        shown(console, caplog, "job.dead", job=9, task="shop.mail", attempt=4, error="E: x"),
        shown(console, caplog, "service.failed", service="claimer", error="E: x", again_in=0.5),
    ]
    assert lines == [
        "retry   shop.receipt 7  attempt 1 failed, again in 15 s: E: x",
        "done    shop.mail 8     12 ms",
        "dead    shop.mail 9     dead after 4 attempts: E: x",
        "fail    claimer failed; again in 500 ms: E: x",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_no_event_is_a_dump_of_its_facts_or_more_than_a_line(
    name: str, console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    named: dict[str, object] = dict.fromkeys(re.findall(r"\{(\w+)", KINDS[name].sentence), 3)
    text = shown(console, caplog, name, **{"job": 1, "task": "a", "id": 99999, **named})
    assert len(text.splitlines()) == 1
    assert not re.search(r"[{}\[\]=]|99999|  $", text)


def test_colour_goes_to_the_word_and_dims_the_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pgqueue"):
        log(Event("job.succeeded", {"job": 1, "task": "a", "seconds": 2}))
    text = Console(colour=True).format(caplog.records[-1])
    assert re.fullmatch(r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m  \x1b\[32mdone  \x1b\[0m  a 1  2 s", text)


def test_a_dead_job_shows_the_end_of_its_traceback(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    trace = 'Traceback (most recent call last):\n  File "shop.py", line 3, in pay\n    no()\nE: x\n'
    first, *more = shown(console, caplog, "job.dead", job=1, task="a", attempt=1, traceback=trace).splitlines()
    assert first == "dead    a 1  dead after 1 attempt"
    assert [line.strip() for line in more] == [line.strip() for line in trace.splitlines()]


def test_a_traceback_is_cut_to_its_last_whole_frames_and_leaves_our_own_out() -> None:
    ours = Path(pgqueue.__file__).parent / "worker" / "slots.py"
    frames = [f'  File "{ours}", line 1, in _run\n    await it()\n    ^^^^\n']
    frames += [f'  File "shop.py", line {n}, in step\n    step({n})\n' for n in range(20)]
    lines = shortened("Traceback (most recent call last):\n" + "".join(frames) + "ValueError: \x1b[2J\n")
    assert len(lines) <= LONGEST_TRACEBACK + 1
    assert lines[0] == "… 31 lines more"
    assert lines[1].startswith('  File "shop.py"')
    assert lines[-1] == "ValueError:  [2J"
    assert not any("slots.py" in line or "await it" in line for line in lines)


def test_a_record_of_a_handler_names_its_job_and_a_foreign_one_its_logger(console: Console) -> None:
    own = logging.makeLogRecord(
        {"name": "pgqueue.job", "levelno": 20, "levelname": "INFO", "msg": "half", "fields": {"job": 4, "task": "a"}}
    )
    foreign = logging.makeLogRecord(
        {"name": "shop.mail", "levelno": 30, "levelname": "WARNING", "msg": "no\nlink\x1b[2J"}
    )
    assert console.format(own)[10:] == "info    a 4  half"
    assert console.format(foreign)[10:] == f"warn    shop.mail: no\n{' ' * 18}link [2J"


def test_an_exception_that_was_logged_shows_its_end(console: Console) -> None:
    try:
        raise KeyError("x")
    except KeyError:
        record = logging.makeLogRecord(
            {"name": "shop", "levelno": 40, "levelname": "ERROR", "msg": "no", "exc_info": sys.exc_info()}
        )
    lines = console.format(record).splitlines()
    assert (lines[0][10:], lines[-1].strip()) == ("error   shop: no", "KeyError: 'x'")
