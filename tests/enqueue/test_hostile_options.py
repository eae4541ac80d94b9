"""Hostile options: one clear error before anything is written, or they come back equal; from Python and from SQL."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue import JobContext, PgQueue
from tests.enqueue.hostile import (
    CHUNK,
    HUGE,
    LONGEST_MESSAGE,
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


NO_OPTIONS: dict[str, dict[str, Any]] = {
    "negative delay": {"delay": -1},
    "negative delay as text": {"delay": "-1s"},
    "negative timedelta": {"delay": timedelta(microseconds=-1)},
    "delay NaN": {"delay": math.nan},
    "delay infinity": {"delay": math.inf},
    "delay over 100 years": {"delay": timedelta.max},
    "delay True": {"delay": True},
    "delay of 5001 digits": {"delay": HUGE},
    "delay of many digits as text": {"delay": "9" * 5000 + "s"},
    "delay in Arabic digits": {"delay": "٣ days"},
    "naive run_at": {"run_at": datetime(2030, 1, 1)},
    "run_at as text": {"run_at": "2030-01-01T00:00:00Z"},
    "run_at over the year 9999": {"run_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))},
    "run_at before the year 1": {"run_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
    "priority True": {"priority": True},
    "priority 10": {"priority": 10},
    "priority as float": {"priority": 1.0},
    "priority as text": {"priority": "1"},
    "priority over bigint": {"priority": 2**64},
    "priority of 5001 digits": {"priority": HUGE},
    "priority that cannot be shown": {"priority": Number(10)},
    "max_retries True": {"max_retries": True},
    "max_retries over bigint": {"max_retries": 2**64},
    "max_retries of 5001 digits": {"max_retries": HUGE},
    "timeout NaN": {"timeout": math.nan},
    "timeout 0": {"timeout": 0},
    "timeout True": {"timeout": True},
    "timeout of 5001 digits": {"timeout": HUGE},
    "empty queue": {"queue": ""},
    "queue of 101 characters": {"queue": "q" * 101},
    "queue of 101 emoji": {"queue": "🐘" * 101},
    "queue of 10 MB": {"queue": "q" * 10_000_000},
    "queue with NUL": {"queue": "a\0"},
    "queue with a lone surrogate": {"queue": "\ud800"},
    "queue as bytes": {"queue": b"x"},
    "queue that cannot be shown": {"queue": Mute()},
    "key of 201 characters": {"key": "k" * 201},
    "empty key": {"key": ""},
    "key as a number": {"key": 1},
    "key with NUL": {"key": "\0"},
    "key with a lone surrogate": {"key": "\udfff"},
    "key of 10 MB": {"key": "k" * 10_000_000},
    "header value as a number": {"headers": {"a": 1}},
    "header name as a number": {"headers": {1: "a"}},
    "header with NUL": {"headers": {"a": "\0"}},
    "header name with a lone surrogate": {"headers": {"\ud800": "a"}},
    "header of 10 MB": {"headers": {"a": "x" * 10_000_000}},
    "header that cannot be shown": {"headers": {"a": Mute()}},
    "headers in pairs": {"headers": [("a", "b")]},
    "headers that cannot be shown": {"headers": Mute()},
    "tags as text": {"tags": "a"},
    "tags as a generator": {"tags": (tag for tag in ["a"])},
    "tags as a set": {"tags": {"a"}},
    "tag as a number": {"tags": [1]},
    "tag in a list": {"tags": [["a"]]},
    "tag with NUL": {"tags": ["\0"]},
    "tags of 10 MB": {"tags": ["x" * 1000] * 10_000},
    "tags that hold themselves": {"tags": circle()},
    "unique as a number": {"unique": 1},
    "unique that cannot be shown": {"unique": Mute()},
    "an option that there is not": {"__proto__": 1},
}


@pytest.mark.parametrize("case", NO_OPTIONS)
def test_an_option_that_cannot_be_is_one_clear_error(pgq: PgQueue[None], send: Sending, dsn: str, case: str) -> None:
    options = NO_OPTIONS[case]
    refused(pgq, send, dsn, lambda: send.using(**options).job(1))


OPTIONS: list[dict[str, Any]] = [
    *({"queue": text, "key": text} for text in TEXTS if text),
    {"queue": "q" * 100, "key": "k" * 200},
    {"queue": "🐘" * 100, "key": "🐘" * 200},
    {"queue": Color.RED, "key": Color.RED, "tags": [Color.RED], "headers": {Color.RED: Color.RED}},
    {"queue": OldColor.RED, "tags": (OldColor.RED,), "headers": {OldColor.RED: OldColor.RED}},
    {"queue": Word("word"), "key": Word("key"), "tags": [Word("tag")], "headers": {Word("a"): Word("b")}},
    {"priority": Level.HIGH, "max_retries": Level.HIGH},
    {"priority": OldLevel.HIGH, "max_retries": OldLevel.HIGH},
    {"priority": Number(3), "max_retries": Number(3), "timeout": Number(30)},
    {"headers": {"__proto__": "a", "constructor": "b", "": "c"}},
    {"headers": {text: text for text in TEXTS}, "tags": TEXTS},
    {"headers": MappingProxyType({"a": "b"}), "tags": ("a", "a")},
    {"headers": OrderedDict(b="1", a="2"), "tags": deque(["a"])},
    {"tags": [f"tag {number}" for number in range(1000)]},
    {"headers": {f"header {number}": "x" * 100 for number in range(1000)}},
    {"delay": -0.0},
    {"delay": 0.0000001},
    {"run_at": datetime.min.replace(tzinfo=UTC)},
    {"run_at": datetime(1600, 1, 1, tzinfo=timezone(timedelta(hours=-23, minutes=-59)))},
]
FAR: list[dict[str, Any]] = [
    {"run_at": datetime.max.replace(tzinfo=UTC)},
    {"run_at": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=1)))},
    {"delay": timedelta(days=36_525)},
    {"delay": "36525d"},
]


def shown(options: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a handler sees of options."""
    headers = {plain(name): plain(text) for name, text in options.get("headers", {}).items()}
    return plain(options.get("queue", "default")), headers, tuple(plain(tag) for tag in options.get("tags", ()))


async def test_options_of_every_kind_reach_the_worker_equal(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, way: str
) -> None:
    seen: dict[int, Any] = {}

    @pgq.task(name="take", context=True)
    async def take(ctx: JobContext[None], number: int) -> None:
        seen[number] = ctx.queue, dict(ctx.headers), ctx.tags

    specs = [take.using(**options).job(number) for number, options in enumerate(OPTIONS)]
    batches = [[spec] for spec in specs] if way == "alone" else [specs]
    if way == "copy":  # those with a key or a time are not copied
        batches = [[spec] * CHUNK for spec in specs]
    ids = [pgq.enqueue_many(batch, returning="ids")[-1] for batch in batches]
    keys = database.execute('select key from pgqueue.job_key order by key collate "C"').fetchall()
    assert {key for (key,) in keys} == {plain(options["key"]) for options in OPTIONS if "key" in options}
    ids = (
        ids
        if way != "arrays"
        else [job_id for (job_id,) in database.execute("select id from pgqueue.job j order by j.id")]
    )
    for job_id, options in zip(ids, OPTIONS, strict=True):
        row = database.execute("select priority, max_retries from pgqueue.job where id = %s", (job_id,)).fetchone()
        assert row == (plain(options.get("priority", 0)), plain(options.get("max_retries", 25)))
    queues = list({str((spec.options.queue and plain(spec.options.queue)) or "default") for spec in specs})
    async with pgq.worker(queues=queues, concurrency=10):
        await watch.auntil("select not exists (select from pgqueue.job)")
    assert seen == {number: shown(options) for number, options in enumerate(OPTIONS)}


def test_times_far_away_stand_in_scheduled(pgq: PgQueue[None], send: Sending, database: psycopg.Connection) -> None:
    pgq.enqueue_many([send.using(**options).job(number) for number, options in enumerate(FAR)])
    rows = database.execute("select due_at from pgqueue.scheduled s order by s.job_id").fetchall()
    assert [due for (due,) in rows][:2] == [options["run_at"] for options in FAR[:2]]
    assert all(due.year > 2100 for (due,) in rows)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_ends_of_the_calendar_can_be_listed_whatever_the_zone_of_the_server(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection, zone: str
) -> None:
    """In another zone the last hours of the year 9999 are in 10000, which Python cannot read."""
    name = database.info.dbname
    database.execute(f"alter database {name} set timezone = '{zone}'".encode())
    try:
        for far in (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime(1, 1, 1, 0, 1, tzinfo=UTC)):
            send.using(run_at=far).enqueue(1)
        assert [job.run_at.year for job in pgq.inspector.jobs()] == [1, 9999]
        assert [queue.queue for queue in pgq.inspector.queues()] == ["default"]
    finally:
        database.execute(f"alter database {name} reset timezone".encode())


IN_SQL = [
    ("args => %s::jsonb", '{"a": "\\u0000"}'),
    ("args => %s::jsonb", '{"a": "\\ud800"}'),
    ("args => %s::jsonb", '{"a": NaN}'),
    ("args => %s::jsonb", '{"a": ' + "[" * 100_000),
    ("args => %s::jsonb", json.dumps({"a": "x" * 10_000_000})),
    ("queue => %s", "q" * 101),
    ("queue => %s", "q" * 10_000_000),
    ("key => %s", "k" * 201),
    ("headers => %s::jsonb", json.dumps({"a": "x" * 10_000_000})),
    ("tags => %s::text[]", ["x" * 1000] * 10_000),
    ("run_at => %s::timestamptz", "10000-01-01 00:00+00"),
    ("run_at => %s::timestamptz", "infinity"),
    ("delay => %s::interval", "-1 s"),
    ("delay => %s::interval", "178000000 years"),
    ("timeout => %s::interval", "-1 s"),
    ("priority => %s::integer", str(2**63)),
]


@pytest.mark.parametrize(("option", "value"), IN_SQL, ids=[f"{o.split()[0]} {str(v)[:12]}" for o, v in IN_SQL])
def test_sql_refuses_the_same_and_stores_nothing(database: psycopg.Connection, option: str, value: Any) -> None:
    with pytest.raises((psycopg.DataError, psycopg.errors.StatementTooComplex)) as refusal:
        database.execute(f"select pgqueue.enqueue('send', {option})", (value,))
    assert len(refusal.value.diag.message_primary or "") <= LONGEST_MESSAGE
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


def test_sql_takes_a_thousand_tags_and_keys_of_200_characters(database: psycopg.Connection) -> None:
    tags = [f"tag {number}" for number in range(1000)]
    headers = {"__proto__": "a", "": "b"}
    for text in ("k" * 200, "🐘" * 200, *(text for text in TEXTS if text)):
        database.execute(
            "select pgqueue.enqueue('send', key => %s, queue => %s, tags => %s, headers => %s)",
            (text, text[:100], tags, Jsonb(headers)),
        )
    rows = database.execute(
        "select k.key, j.queue, j.tags, j.headers from pgqueue.job j join pgqueue.job_key k on k.job_id = j.id order by j.id"
    ).fetchall()
    texts = ["k" * 200, "🐘" * 200, *(text for text in TEXTS if text)]
    assert rows == [(text, text[:100], tags, headers) for text in texts]
