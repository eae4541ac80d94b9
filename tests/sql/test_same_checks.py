"""Every option's limits, over both faces: what Python takes SQL takes and stores alike, what one refuses the other does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import psycopg
import pytest

from pgqueue import InvalidOption, InvalidPayload, PgQueue, PgQueueError, Task, Unique
from pgqueue.model.options import LARGEST_NOTES
from pgqueue.model.payload import LARGEST_PAYLOAD
from tests.sql.calls import by_name, counted, facts, in_bulk, told

Sending = Task[..., None]
HOUR_BEHIND = timezone(-timedelta(hours=1))


class Case(NamedTuple):
    """The same options as Python and as SQL write them; and how SQL shows the value that it refuses."""

    python: dict[str, Any]
    sql: dict[str, Any]
    shown: str = ""


def same(option: str, value: Any, sql: Any = None, shown: str = "") -> Case:
    """Return one option; SQL writes it as Python does, if nothing else is said."""
    return Case({option: value}, {option: value if sql is None else sql}, shown)


def under_a_key(**how: Any) -> Case:
    """Return a key that is held in some way."""
    return Case({"key": "k", "unique": how}, {"key": "k", **how})


TAKEN = [
    Case({}, {}),
    same("queue", "q"),
    same("queue", "ü" * 100),
    same("priority", 0),
    same("priority", 9),
    same("max_retries", 0),
    same("max_retries", 32766),
    same("timeout", 0.001, "1 ms"),
    same("timeout", 0.0012, "1.2 ms"),
    same("timeout", "24d", "24 days"),
    same("delay", 0, "0 s"),
    same("delay", "1h30m"),
    same("delay", 90, "1 minute 30 s"),
    same("delay", "36525d", "36525 days"),
    same("run_at", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00+00"),
    same("run_at", datetime.max.replace(tzinfo=UTC), "9999-12-31 23:59:59.999999+00"),
    same("run_at", datetime(2030, 1, 1, tzinfo=HOUR_BEHIND), "2030-01-01T01:00:00Z"),
    same("headers", {}),
    same("headers", {"ü": "é\"\\{},'", "": ""}),
    same("headers", {"a": "x" * (LARGEST_NOTES - 1)}),
    same("tags", []),
    same("tags", ["a", "", "b,{}\"'\\", "NULL"]),
    same("tags", ["x" * LARGEST_NOTES]),
    same("tags", ['"'] * 1000),
    same("key", "k"),
    same("key", "ü" * 200),
    under_a_key(scope="started", on_conflict="raise"),
    under_a_key(scope="finished", period="1 h", on_conflict="replace"),
    under_a_key(scope="retention"),
    under_a_key(scope="retention", period="2 d"),
    under_a_key(scope="ttl", period="36525d", on_conflict="skip"),
]
REFUSED = [
    same("queue", "", shown="''"),
    same("queue", "q" * 101, shown="qqq"),
    same("priority", -1, shown="-1"),
    same("priority", 10, shown="10"),
    same("max_retries", -1, shown="-1"),
    same("max_retries", 32767, shown="32767"),
    same("timeout", 0, "0 s", "00:00:00"),
    same("timeout", 0.0009, "0.9 ms", "00:00:00.0009"),
    same("timeout", 24 * 86400 + 1, "24 days 1 s", "24 days 00:00:01"),
    same("delay", -1, "-1 s", "-00:00:01"),
    same("delay", "36526d", "36526 days", "36526 days"),
    same("delay", "soon", "101 years", "101 years"),
    same("run_at", datetime.max.replace(tzinfo=HOUR_BEHIND), "10000-01-01 00:59:59.999999+00", "10000-01-01"),
    same("run_at", "tomorrow", "infinity", "infinity"),
    same("headers", [], shown="[]"),
    same("headers", "a", shown='"a"'),
    same("headers", {"a": 1}, shown='{"a": 1}'),
    same("headers", {"a": None}, shown='{"a": null}'),
    same("headers", {"a": {}}, shown='{"a": {}}'),
    same("headers", {"a": "x" * LARGEST_NOTES}, shown="262145 bytes"),
    same("tags", [None], shown="{NULL}"),
    same("tags", [["a"], ["b"]], shown="{{a},{b}}"),
    same("tags", ["x"] * (LARGEST_NOTES + 1), shown="262145 bytes"),
    same("key", "", shown="''"),
    same("key", "k" * 201, shown="kkk"),
    under_a_key(scope="forever")._replace(shown="'forever'"),
    under_a_key(on_conflict="ignore")._replace(shown="'ignore'"),
    under_a_key(scope="ttl")._replace(shown="'ttl'"),
    under_a_key(period="0 s")._replace(shown="00:00:00"),
    under_a_key(period="36526d")._replace(shown="36526 days"),
    Case({"delay": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, {"delay": "1 s", "run_at": "2030-01-01Z"}, "2030"),
]


def name_of(case: Case) -> str:
    """Return a short name of a case."""
    return str(case.sql)[:50]


def by_python(send: Sending, python: dict[str, Any]) -> str:
    """Enqueue in Python; return the id."""
    how = python.get("unique")
    options = {**python, "unique": Unique(**how)} if how is not None else python
    chosen: Any = send.using(**options)
    return str(chosen.enqueue(1).id)


@pytest.mark.parametrize("case", TAKEN, ids=name_of)
def test_what_python_takes_sql_takes_and_stores_alike(send: Sending, database: psycopg.Connection, case: Case) -> None:
    stored = []
    for way in (
        lambda: by_python(send, case.python),
        lambda: by_name(database, case.sql),
        lambda: in_bulk(database, {"task": "send", "args": {"user_id": 1}, **case.sql})[0][1],
    ):
        stored.append(facts(database, way()))
        database.execute("delete from pgqueue.job_key; select pgqueue.cancel(id) from pgqueue.job")
    assert stored[0] is not None
    assert stored[1] == stored[0]
    assert stored[2] == stored[0]


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_what_python_refuses_sql_refuses_with_the_value_the_rule_and_a_remedy(
    send: Sending, database: psycopg.Connection, case: Case
) -> None:
    with pytest.raises(InvalidOption) as refusal:
        by_python(send, case.python)
    assert (refusal.value.problem[-1], refusal.value.remedy[-1]) == (".", ".")
    with pytest.raises(psycopg.errors.InvalidParameterValue) as by_sql:
        by_name(database, case.sql)
    assert case.shown in told(by_sql)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as in_many:
        in_bulk(database, {"task": "send"}, {"task": "send", **case.sql})
    assert told(in_many).startswith("job 2: ")
    assert counted(database) == (0, 0, 0)


@pytest.mark.parametrize("task", ["", "t" * 201])
def test_no_job_can_have_the_name_that_no_task_can_have(
    pgq: PgQueue[None], database: psycopg.Connection, task: str
) -> None:
    with pytest.raises(PgQueueError):
        pgq.task(name=task)(lambda: None)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        by_name(database, {}, task)
    assert (repr(task) if task == "" else "tttt") in told(refusal)
    assert by_name(database, {}, "t" * 200)


@pytest.mark.parametrize("args", ["'[]'", "'1'", "'null'", "null", "'\"a\"'"])
def test_arguments_are_an_object(database: psycopg.Connection, args: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.execute(f"select pgqueue.enqueue('send', {args})".encode())
    assert "args must be a JSON object" in told(refusal)


def test_arguments_take_at_most_a_mebibyte_each_as_it_is_written(send: Sending, database: psycopg.Connection) -> None:
    """Python writes JSON without blanks, PostgreSQL with one after each colon and comma."""
    most = LARGEST_PAYLOAD - len('{"user_id":""}')
    send.enqueue("x" * most)
    by_name(database, {}, args={"user_id": "x" * (most - 1)})
    with pytest.raises(InvalidPayload):
        send.enqueue("x" * (most + 1))
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        by_name(database, {}, args={"user_id": "x" * most})
    assert f"args take {LARGEST_PAYLOAD + 1} bytes" in told(refusal)


@pytest.mark.parametrize("option", ["scope => 'ttl'", "period => '1 h'", "on_conflict => 'raise'"])
def test_how_a_key_is_held_needs_a_key(database: psycopg.Connection, option: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.execute(f"select pgqueue.enqueue('send', {option})".encode())
    assert option.partition(" ")[0] in told(refusal)
    assert "Pass key" in told(refusal)


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize("queue", ["", "q" * 101, None])
def test_a_queue_that_cannot_be_is_not_paused(
    pgq: PgQueue[None], database: psycopg.Connection, verb: str, queue: Any
) -> None:
    with pytest.raises(InvalidOption):
        getattr(pgq.inspector, verb)(queue)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.execute(f"select pgqueue.{verb}(%s)".encode(), (queue,))
    assert "queue must be 1 to 100 characters" in told(refusal)
    assert database.execute("select count(*) from pgqueue.queue").fetchone() == (0,)


@pytest.mark.parametrize("option", ["queue", "key", "headers", "tags", "scope", "on_conflict"])
def test_a_refusal_shows_no_more_of_a_value_than_one_can_read(database: psycopg.Connection, option: str) -> None:
    large = "x" * 1_000_000
    value: Any = {"headers": {"a": {"b": large}}, "tags": [None, large]}.get(option, large)
    for way in (by_name, lambda one, options: in_bulk(one, {"task": "send", **options})):
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
            way(database, {"key": "k", option: value})
        assert len(told(refusal)) < 400
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        in_bulk(database, {"task": "send", large: 1})
    assert len(told(refusal)) < 500
