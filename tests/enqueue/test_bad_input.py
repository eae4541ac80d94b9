"""What no job may hold is refused with a clear error, and nothing is stored; in Python and in SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue import InvalidArguments, InvalidOption, InvalidPayload, PgQueue, PgQueueError, Task
from pgqueue.model.payload import LARGEST_PAYLOAD

Sending = Task[..., None]
NOON = "2030-01-01 12:00+00"


@pytest.fixture(autouse=True)
def nothing_stored(database: psycopg.Connection) -> Iterator[None]:
    """Every test of this module must leave no job behind."""
    yield
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


@pytest.fixture
def strict(pgq: PgQueue[None]) -> Task[..., None]:
    """A task whose arguments are checked by type; typed loosely here, so that it can be called wrongly."""

    @pgq.task(name="strict")
    def strict(user_id: int, email: str = "", *, copies: int = 1) -> None: ...

    return strict


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("1",), {}),
        ((True,), {}),
        ((1.0,), {}),
        ((None,), {}),
        ((1, 2), {}),
        ((1, "a", 3), {}),
        ((1,), {"unknown": 1}),
        ((1,), {"user_id": 1}),
        ((1,), {"copies": None}),
    ],
    ids=str,
)
def test_a_call_that_does_not_fit_the_signature_is_refused(
    strict: Sending, pgq: PgQueue[None], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArguments, match=r"Call it as .*user_id: "):
        strict.enqueue(*args, **kwargs)
    with pytest.raises(InvalidArguments):
        pgq.enqueue_many([strict.job(1), strict.job(*args, **kwargs)])


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, "a\0b", "\ud83d", {"k\0": 1}, object(), {1}, b"x", "x" * LARGEST_PAYLOAD],
    ids=lambda value: repr(value)[:12],
)
async def test_a_value_that_postgresql_cannot_hold_is_refused(pgq: PgQueue[None], send: Sending, value: object) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        send.enqueue(value)
    with pytest.raises(InvalidPayload):
        await send.aenqueue(value)
    with pytest.raises(InvalidPayload):
        pgq.enqueue_many([send.job(1), send.job(value)])
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"delay": 1, "run_at": datetime.fromisoformat(NOON)},
        {"run_at": datetime(2030, 1, 1)},
        {"delay": -1},
        {"delay": "-1s"},
        {"priority": 10},
        {"priority": True},
        {"max_retries": 99999},
        {"timeout": 0},
        {"queue": ""},
        {"queue": "q" * 1000},
        {"queue": "a\0b"},
        {"queue": "\ud800"},
        {"tags": ["\0"]},
        {"headers": {"a": None}},
    ],
    ids=lambda options: str(options)[:40],
)
def test_an_option_out_of_range_is_refused(send: Sending, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        send.using(**options).enqueue(1)


@pytest.mark.parametrize("jobs", [["send"], [None], [1], [("send", {})], "ab", [[]]], ids=repr)
def test_what_is_no_job_is_refused_by_name(pgq: PgQueue[None], send: Sending, jobs: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"is not a job\. Make it with task\.job"):
        pgq.enqueue_many([send.job(1), *jobs])


def test_tasks_and_calls_in_place_of_jobs_are_refused_by_name(pgq: PgQueue[None], send: Sending) -> None:
    wrong: Any = [send]
    with pytest.raises(InvalidArguments, match="<task send>"):
        pgq.enqueue_many(wrong)


@pytest.mark.parametrize("jobs", [None, 1, object()], ids=["None", "number", "object"])
def test_what_is_no_list_of_jobs_is_refused_with_a_sentence(pgq: PgQueue[None], jobs: Any) -> None:
    with pytest.raises(PgQueueError):
        pgq.enqueue_many(jobs)


def test_a_single_job_in_place_of_a_list_is_refused_with_a_sentence(pgq: PgQueue[None], send: Sending) -> None:
    alone: Any = send.job(1)
    with pytest.raises(PgQueueError):
        pgq.enqueue_many(alone)


def test_a_generator_that_fails_stores_nothing(pgq: PgQueue[None], send: Sending) -> None:
    def jobs() -> Iterator[Any]:
        yield send.job(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pgq.enqueue_many(jobs())


def test_headers_or_tags_of_more_than_a_mebibyte_are_refused(send: Sending) -> None:
    with pytest.raises(PgQueueError):
        send.using(headers={"a": "x" * LARGEST_PAYLOAD}).enqueue(1)
    with pytest.raises(PgQueueError):
        send.using(tags=["x" * 1000] * 2000).enqueue(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("args => '[]'", "args must be a JSON object"),
        ("args => '1'", "args must be a JSON object"),
        ("args => 'null'", "args must be a JSON object"),
        ("args => null", "args must be a JSON object"),
        ("queue => ''", "queue must be 1 to 100"),
        ("queue => repeat('q', 1000)", "queue must be 1 to 100"),
        ("priority => 10", "priority 10 is not"),
        ("priority => -1", "priority -1 is not"),
        (f"delay => '1 s', run_at => '{NOON}'", "exclude each other"),
        ("delay => '-1 s'", "delay"),
        ("delay => '200 years'", "delay"),
        ("delay => '9000 years'", "delay"),
        ("run_at => 'infinity'", "run_at infinity"),
        ("run_at => '-infinity'", "run_at -infinity"),
        ("run_at => '0001-01-01 00:00+00 BC'", "run_at 0001"),
        ("run_at => '10000-01-01 00:00+00'", "run_at 10000"),
        ("max_retries => -1", "max_retries -1"),
        ("max_retries => 32768", "max_retries 32768"),
        ("timeout => '0 s'", "timeout 00:00:00"),
        ("timeout => '-1 s'", "timeout -00:00:01"),
        ("timeout => '25 days'", "timeout 25 days"),
        ("headers => '[]'", "headers must be a JSON object"),
        ("headers => '1'", "headers must be a JSON object"),
        ("headers => '{\"a\": 1}'", "headers"),
        ("headers => '{\"a\": {}}'", "headers"),
        ("tags => array['a', null]", "tags"),
    ],
)
def test_sql_refuses_the_same_with_a_sentence(database: psycopg.Connection, options: str, said: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.execute(f"select pgqueue.enqueue('send', {options})")
    message = refusal.value.diag.message_primary or ""
    assert said in message
    assert message.count(". ") == 1
    assert message.endswith(".")


@pytest.mark.parametrize("task", [None, "", "t" * 201])
def test_sql_refuses_a_task_without_a_usable_name(database: psycopg.Connection, task: str | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="task must be 1 to 200 characters"):
        database.execute("select pgqueue.enqueue(%s)", (task,))


def test_sql_refuses_more_than_a_mebibyte_of_arguments(database: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="args"):
        database.execute("select pgqueue.enqueue('send', %s)", (Jsonb({"user_id": "x" * LARGEST_PAYLOAD}),))


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800", 7, b"x"], ids=lambda name: repr(name)[:10])
def test_a_task_cannot_have_a_name_that_no_job_could_carry(pgq: PgQueue[None], name: Any) -> None:
    with pytest.raises(PgQueueError):
        pgq.task(name=name)(lambda: None)
