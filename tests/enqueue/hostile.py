"""Hostile values, and three ways to write jobs: alone, as arrays, by COPY."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pgqueue import PgQueue, PgQueueError, Task
from pgqueue.postgres import chunks, copying

Sending = Task[..., None]
WAYS = {"alone": 1, "arrays": 5, "copy": 35}
CHUNK = 10  # jobs; the hostile one stands in a later chunk, when others are written
LONGEST_MESSAGE = 1000
HUGE = 10**5000
ENDED = "select count(*) = %s from pgqueue.job_history where state = 'succeeded'"


TEXTS = [
    "",
    "\t\n\r\\\\N\\.\\x41\b\f\v",
    "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\x9f",
    "'\"`;--/*$$%s%(a)s{}{0}:name?",
    "NULL",
    "\\N",
    "\\.",
    "日本語 é e\u0301 🐘 \u202e\ufeff\ufffe\uffff\U0010ffff\u2028",
    "\\u0000 \\ud800",
    " leading and trailing ",
]


class Word(str):
    """A text that cannot be shown."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Number(int):
    """A number that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Color(enum.StrEnum):
    """A text with a name."""

    RED = "red"


class Level(enum.IntEnum):
    """A number with a name."""

    HIGH = 7


class OldColor(str, enum.Enum):  # noqa: UP042 - people have these
    """A text with a name, as it was written before StrEnum."""

    RED = "red"


class OldLevel(int, enum.Enum):
    """A number with a name, as it was written before IntEnum."""

    HIGH = 7


class Mute:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def nested(depth: int, make: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """Return lists in lists."""
    value: Any = make(None)
    for _ in range(depth - 1):
        value = make(value)
    return value


def circle() -> list[Any]:
    """Return a list that holds itself."""
    itself: list[Any] = []
    itself.append({"again": itself})
    return itself


def plain(value: Any) -> Any:
    """Return a value with nothing but the types that JSON has."""
    if isinstance(value, str):
        return str.__str__(value) if not isinstance(value, enum.Enum) else value.value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@contextmanager
def writing(way: str) -> Iterator[None]:
    """Write jobs in one of the ways, in chunks of ten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MOST", CHUNK)
        patch.setattr(copying, "LEAST", CHUNK if way == "copy" else 10**9)
        yield


def refused(pgq: PgQueue[None], send: Sending, dsn: str, make: Callable[[], Any]) -> PgQueueError:
    """Write jobs of which the last but one cannot be, in each way; return what is said."""
    for way, count in WAYS.items():
        with writing(way):
            error = _refused(pgq, send, dsn, make, count)
    assert len(str(error)) <= LONGEST_MESSAGE
    assert error.problem.endswith(".")
    assert error.remedy.endswith(".")
    return error


def _refused(pgq: PgQueue[None], send: Sending, dsn: str, make: Callable[[], Any], count: int) -> PgQueueError:
    """Write so many on our own connection and on a caller's: nothing is stored, and the transaction goes on."""

    def jobs() -> Iterator[Any]:
        for number in range(count):
            yield make() if number == max(0, count - 2) else send.job(number)

    with psycopg.connect(dsn) as connection:
        connection.execute("create temporary table business (id int)")
        for queue in (pgq, pgq.using(connection)):
            with pytest.raises(PgQueueError) as refusal:
                queue.enqueue_many(jobs())
        connection.execute("select * from business")
        assert connection.execute("select count(*) from pgqueue.job").fetchone() == (0,)
    error: PgQueueError = refusal.value
    return error
