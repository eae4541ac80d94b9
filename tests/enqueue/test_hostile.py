"""Hostile arguments: one clear error before anything is written, or they come back equal; from Python and from SQL."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import psycopg
import pytest

from pgqueue import InvalidArguments, InvalidPayload, PgQueue, Task
from pgqueue.model.payload import LARGEST_PAYLOAD
from pgqueue.model.writing import DEEPEST_PAYLOAD
from tests.enqueue.hostile import (
    ENDED,
    HUGE,
    TEXTS,
    WAYS,
    Color,
    Level,
    Mute,
    Number,
    OldColor,
    OldLevel,
    Sending,
    Word,
    circle,
    nested,
    plain,
    refused,
    writing,
)
from tests.support import Watch


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """How jobs are written."""
    with writing(request.param):
        yield str(request.param)


REFUSED: dict[str, Callable[[], Any]] = {
    "10 MB": lambda: "x" * 10_000_000,
    "10 MB in pieces": lambda: ["x" * 1000] * 10_000,
    "one byte too many": lambda: "x" * (LARGEST_PAYLOAD - len('{"user_id":""}') + 1),
    "NUL": lambda: "a\0b",
    "NUL in a key": lambda: {"a\0": 1},
    "NUL deep inside": lambda: [{"a": ["\0"]}],
    "NUL behind a backslash": lambda: "\\\0",
    "lone high surrogate": lambda: "\ud800",
    "lone low surrogate": lambda: ["\udfff"],
    "surrogates in the wrong order": lambda: "\udc00\ud800",
    "surrogate in a key": lambda: {"\ud83d": 1},
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus infinity deep inside": lambda: {"a": [-math.inf]},
    "Decimal NaN": lambda: Decimal("NaN"),
    "naive datetime": lambda: datetime(2030, 1, 1),
    "aware datetime without annotation": lambda: datetime(2030, 1, 1, tzinfo=UTC),
    "4301 digits": lambda: 10**4300,
    "4301 digits, negative": lambda: [-(10**4300)],
    "a list that holds itself": circle,
    "too deep": lambda: nested(DEEPEST_PAYLOAD + 1),
    "huge nesting": lambda: nested(100_000),
    "huge nesting of objects": lambda: nested(100_000, lambda inner: {"a": inner}),
    "generator": lambda: (number for number in range(3)),
    "iterator": lambda: iter([1]),
    "range": lambda: range(3),
    "set": lambda: {1},
    "bytes": lambda: b"x",
    "bytearray": lambda: bytearray(b"x"),
    "complex": lambda: 1j,
    "object": object,
    "class": lambda: int,
    "function": lambda: circle,
    "what cannot be shown": Mute,
    "mapping that is no dict": lambda: MappingProxyType({"a": 1}),
    "deque": lambda: deque([1]),
    "key that is a number": lambda: {1: 2},
    "key that is None": lambda: {None: 1},
    "key that is True": lambda: {True: 1},
    "key that is a tuple": lambda: {("a", 1): 1},
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_argument_that_cannot_be_stored_is_one_clear_error(
    pgq: PgQueue[None], send: Sending, dsn: str, case: str
) -> None:
    value = REFUSED[case]()
    error = refused(pgq, send, dsn, lambda: send.job(value))
    assert isinstance(error, InvalidPayload)


WRONG: list[tuple[Any, Any]] = [
    (int, True),
    (int, 1.0),
    (int, "1"),
    (int, None),
    (float, True),
    (float, "nan"),
    (str, 1),
    (str, b"x"),
    (bool, 1),
    (list[int], [1, True]),
    (list[int], {1: 2}),
    (list[int], (n for n in [1])),
    (dict[str, int], {"a": True}),
    (dict[str, int], {"a": None}),
    (datetime, "2030-01-01"),
    (datetime, 0),
    (list[datetime], [None]),
]


@pytest.mark.parametrize(("annotation", "value"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_an_argument_of_another_type_is_one_clear_error(
    pgq: PgQueue[None], send: Sending, dsn: str, annotation: Any, value: Any
) -> None:
    def typed(value: Any) -> None: ...

    typed.__annotations__["value"] = annotation
    task = pgq.task(name="typed")(typed)
    assert isinstance(refused(pgq, send, dsn, lambda: task.job(value)), InvalidArguments)


@pytest.mark.parametrize("element", [Mute(), "x" * 10_000_000, HUGE, circle()], ids=["mute", "10 MB", "huge", "circle"])
def test_an_element_that_is_no_job_is_one_clear_error(
    pgq: PgQueue[None], send: Sending, dsn: str, element: Any
) -> None:
    refused(pgq, send, dsn, lambda: element)


TAKEN: list[Any] = [
    *TEXTS,
    {text: [text] for text in TEXTS},
    {"__proto__": {"constructor": 1}, "": None, "$codec": "fernet", "$body": ""},
    "x" * (LARGEST_PAYLOAD - 100),
    2**63,
    -(2**63) - 1,
    2**200,
    10**4300 - 1,
    -(10**4300) + 1,
    0.1,
    5e-324,
    1e15,
    -0.0,
    True,
    None,
    [True, 1, 1.5, None, "1"],
    nested(DEEPEST_PAYLOAD - 1),
    nested(DEEPEST_PAYLOAD - 1, lambda inner: {"a": inner}),
    [],
    {},
    Word("a\tword"),
    Number(2**70),
    Color.RED,
    Level.HIGH,
    OldColor.RED,
    OldLevel.HIGH,
    OrderedDict(b=1, a=2),
    Counter("aab"),
    defaultdict(list, a=[1]),
    {Word("key"): Word("value"), Color.RED: [Number(1)]},
    list(range(10_000)),
]
TYPED: list[tuple[Any, Any]] = [
    (datetime, datetime(2030, 1, 1)),
    (datetime, datetime.max),
    (datetime, datetime.min.replace(tzinfo=UTC)),
    (datetime, datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))),
    (float, 1.7976931348623157e308),
    (float, 1e23),
    (float | None, -1e16),
    (int, Number(5)),
    (int, Level.HIGH),
    (str, Word("text")),
    (dict[str, Any], OrderedDict(a=1)),
    (Decimal, Decimal("1e-400")),
    (tuple[int, ...], (1, 2)),
    (bytes, bytes(range(256))),
]
EVERY = [(Any, value) for value in TAKEN] + TYPED


async def test_whatever_is_taken_reaches_the_worker_equal(pgq: PgQueue[None], watch: Watch, way: str) -> None:
    seen: dict[int, Any] = {}

    def declare(number: int, annotation: Any) -> Task[..., None]:
        async def take(value: Any) -> None:
            seen[number] = value

        take.__annotations__["value"] = annotation
        return pgq.task(name=f"take {number}")(take)

    tasks = [declare(number, annotation) for number, (annotation, _) in enumerate(EVERY)]
    specs = [task.job(value) for task, (_, value) in zip(tasks, EVERY, strict=True)]
    for batch in [[spec] for spec in specs] if way == "alone" else [specs]:
        pgq.enqueue_many(batch, returning="count")
    async with pgq.worker(concurrency=10):
        await watch.auntil(ENDED, len(specs))
    for number, (_, value) in enumerate(EVERY):
        wanted = plain(value)
        assert seen[number] == wanted, number
        assert type(seen[number]) is type(wanted), number


async def test_what_sql_may_pass_reaches_the_worker_equal(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    seen: dict[int, Any] = {}

    @pgq.task(name="take")
    async def take(number: int, value: Any) -> None:
        seen[number] = value

    wanted = {number: plain(value) for number, value in enumerate(TAKEN)}
    for number, value in wanted.items():
        text = json.dumps({"number": number, "value": value}, ensure_ascii=False)
        database.execute("select pgqueue.enqueue('take', %s::jsonb)", (text,))
    async with pgq.worker(concurrency=10):
        await watch.auntil(ENDED, len(wanted))
    assert seen == wanted


def test_large_floats_inside_others_come_back_equal(send: Sending, database: psycopg.Connection) -> None:
    value = [1e16, 1e22, 1e23, {"a": 1.7976931348623157e308}]
    send.enqueue(value)
    row = database.execute("select args::text from pgqueue.job").fetchone()
    assert row is not None
    _, arguments = send.declaration.shape.decode(row[0])
    assert arguments["user_id"] == value


async def test_what_sql_stored_and_python_cannot_read_fails_its_run_alone(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    ran: list[Any] = []

    @pgq.task(name="take")
    async def take(value: Any) -> None:
        ran.append(value)

    for text in ("9" * 4301, "[" * 2000 + "]" * 2000, "1"):
        database.execute("select pgqueue.enqueue('take', %s::jsonb, max_retries => 0)", (f'{{"value": {text}}}',))
    async with pgq.worker(concurrency=2):
        await watch.auntil("select count(*) = 3 from pgqueue.job_history")
    assert ran == [1]
    rows = database.execute("select state, error_type, error from pgqueue.all_jobs j order by j.id").fetchall()
    assert [row[:2] for row in rows] == [("dead", "pgqueue.InvalidArguments")] * 2 + [("succeeded", None)]
    assert all("the stored arguments cannot be read" in row[2] for row in rows[:2])
