"""What is stored of an error can be stored and read, whatever the error is."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

import psycopg
import pytest

from pgqueue.worker.verdicts import LONGEST_MESSAGE, LONGEST_NAME, LONGEST_TRACEBACK, describe, summarise


class Raises(Exception):
    def __str__(self) -> str:
        raise SystemExit("no")

    __repr__ = __str__


class Recurses(Exception):
    def __str__(self) -> str:
        return str(self)


class Odd(str):
    """Text that does not behave as text."""

    def __getitem__(self, key: object) -> str:
        raise ValueError

    def replace(self, *given: object) -> str:
        raise ValueError


class SaysOdd(Exception):
    def __str__(self) -> str:
        return Odd("odd")


class Nameless(Exception):
    """An error whose module is no text."""


Nameless.__module__ = None  # type: ignore[assignment]


class Hiding(type):
    """A metaclass of classes that do not tell their module."""

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError


class Hidden(Exception, metaclass=Hiding):
    """An error of such a class."""


def cyclic() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("innermost")
    for number in range(length):
        outer = ValueError(f"number {number}")
        outer.__cause__, error = error, outer
    return error


def nested(depth: int) -> Any:
    error: Any = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("around", [error])
    return error


def deep(frames: int) -> BaseException:
    def down(left: int) -> None:
        if not left:
            raise ValueError("at the bottom")
        up(left - 1)

    def up(left: int) -> None:
        down(left)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(4 * frames + 1000)
    try:
        down(frames)
    except ValueError as error:
        return error
    finally:
        sys.setrecursionlimit(limit)
    raise AssertionError


def endless() -> BaseException:
    def again() -> None:
        again()

    try:
        again()
    except RecursionError as error:
        return error
    raise AssertionError


HOSTILE = {
    "no message": ValueError(),
    "a message that raises": Raises(),
    "a message that recurses": Recurses(),
    "a message that is no plain text": SaysOdd(),
    "a huge message": ValueError("x" * 20_000_000),
    "a NUL and a lone surrogate": ValueError("a\0b\udc80c"),
    "a number of too many digits": ValueError(10**5000),
    "a name of a megabyte": type("N" * 1_000_000, (Exception,), {})("x"),
    "a module that cannot be stored": type("Error", (Exception,), {"__module__": "a\0b\udc80"})("x"),
    "a module that is none": Nameless("x"),
    "a class that hides its name": Hidden("x"),
    "causes in a circle": cyclic(),
    "causes without end": chain(5_000),
    "groups in groups": nested(400),
    "a group of many": ExceptionGroup("many", [ValueError(n) for n in range(10_000)]),
    "a stack without end": deep(5_000),
    "a recursion": endless(),
    "no memory": MemoryError(),
    "SystemExit": SystemExit({"code": object()}),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit(),
}


@pytest.fixture(scope="module")
def jsonb(server: Any) -> Any:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        yield lambda text: connection.execute("select %s::jsonb", (text,)).fetchone()


@pytest.mark.parametrize("case", HOSTILE)
def test_every_error_is_described_in_bounds_that_jsonb_can_hold(case: str, jsonb: Any) -> None:
    began = time.process_time()
    described = describe(HOSTILE[case])
    assert time.process_time() - began < 3, "the event loop waits meanwhile"
    (stored,) = jsonb(described)
    assert stored.keys() == {"type", "message", "traceback"}
    assert 1 <= len(stored["type"]) <= LONGEST_NAME
    assert len(stored["message"]) <= LONGEST_MESSAGE
    assert 0 < len(stored["traceback"]) <= LONGEST_TRACEBACK
    assert summarise(described).startswith(stored["type"][:100])


def told(error: BaseException) -> dict[str, str]:
    described: dict[str, str] = json.loads(describe(error))
    return described


def test_what_cannot_be_said_is_said_to_be_so() -> None:
    assert told(Raises())["message"] == "(its message cannot be shown: SystemExit)"
    assert told(Recurses())["message"] == "(its message cannot be shown: RecursionError)"


def test_notes_stand_in_the_traceback() -> None:
    error = ValueError("no such user")
    error.add_note("user_id=7")
    assert told(error)["message"] == "no such user"
    assert told(error)["traceback"].endswith("ValueError: no such user\nuser_id=7\n")


def test_chained_causes_stand_in_the_traceback_from_the_first_on() -> None:
    try:
        try:
            raise OSError("the first")
        except OSError as first:
            raise ValueError("the last") from first
    except ValueError as error:
        trace = told(error)["traceback"]
    assert trace.index("OSError: the first") < trace.index("direct cause") < trace.index("ValueError: the last")


def test_the_message_of_a_group_names_what_is_in_it() -> None:
    inner: Exception = ExceptionGroup("inner", [KeyError("b")])
    group = ExceptionGroup("2 failed", [ValueError("a"), inner])
    assert told(group)["message"] == "2 failed (2 sub-exceptions): ValueError: a; KeyError: 'b'"
    assert told(group)["type"] == "ExceptionGroup"
    many = ExceptionGroup("many", [ValueError(n) for n in range(9)])
    assert told(many)["message"].endswith("ValueError: 4; and 4 more")
    assert "ValueError: a" in told(group)["traceback"]


def test_a_long_traceback_keeps_where_it_began_and_what_was_raised() -> None:
    try:
        raise ValueError("x" * 100_000 + " end")
    except ValueError as error:
        trace = told(error)["traceback"]
    assert trace.startswith("Traceback")
    assert "test_descriptions.py" in trace
    assert "characters left out" in trace
    assert trace.endswith(" end\n")


def test_of_a_deep_stack_only_the_last_frames_are_read() -> None:
    trace = told(deep(5_000))["traceback"]
    assert trace.endswith("ValueError: at the bottom\n")
    left_out = re.search(r"… (\d+) characters left out …", trace)
    assert left_out is None or int(left_out[1]) < 100_000
