"""enqueue_many: a JSON array of jobs, all or none; each error names the position."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.sql.calls import by_name, counted, facts, first, in_bulk, told

OK = {"task": "send"}
FULL = {
    "task": "send",
    "args": {"user_id": 1},
    "queue": "mail",
    "priority": 4,
    "delay": "1h",
    "max_retries": 3,
    "timeout": "90 s",
    "headers": {"trace": "1"},
    "tags": ["a", "b"],
    "key": "k",
    "scope": "ttl",
    "period": "2 h",
    "on_conflict": "raise",
    "deadline": "2100-01-31T12:00:00Z",
    "expires_at": "2100-01-30T12:00:00Z",
}


def test_every_parameter_of_enqueue_is_a_field(database: psycopg.Connection) -> None:
    names = first(
        database,
        "select proargnames from pg_proc where proname = 'enqueue' and pronamespace = 'pgqueue'::regnamespace",
    )
    assert set(FULL) | {"run_at"} == set(names)
    ((position, job_id, created),) = in_bulk(database, FULL)
    assert (position, created) == (1, True)
    options = {name: value for name, value in FULL.items() if name not in ("task", "args", "key")}
    same = by_name(database, {**options, "key": "other"})
    one, two = facts(database, job_id), facts(database, same)
    assert one[:4] == two[:4]
    assert (one[4].replace(",k,", ",other,"), one[5]) == two[4:]


def test_the_answers_are_in_order_with_position_and_id(database: psycopg.Connection) -> None:
    found = in_bulk(database, *({"task": f"t{number}"} for number in range(5)))
    assert [(position, created) for position, _, created in found] == [(n, True) for n in range(1, 6)]
    stored = database.execute("select id, task from pgqueue.job order by id").fetchall()
    assert stored == [(job_id, f"t{number}") for number, (_, job_id, _) in enumerate(found)]


def test_null_stands_for_the_default(database: psycopg.Connection) -> None:
    nothing = dict.fromkeys([*FULL, "run_at"])
    ((_, job_id, _),) = in_bulk(database, {**nothing, "task": "send"})
    assert facts(database, job_id) == facts(database, in_bulk(database, OK)[0][1])


def test_lengths_of_time_may_be_seconds(database: psycopg.Connection) -> None:
    in_bulk(database, {**OK, "delay": 90, "timeout": 2.5, "key": "k", "scope": "ttl", "period": 3600})
    assert database.execute("select timeout_ms from pgqueue.job").fetchone() == (2500,)
    distance = "select round(extract(epoch from run_at - enqueued_at)) from pgqueue.job"
    assert database.execute(distance).fetchone() == (90,)


def test_an_empty_array_is_no_error(database: psycopg.Connection) -> None:
    assert in_bulk(database) == []
    assert counted(database) == (0, 0, 0)


@pytest.mark.parametrize(
    ("jobs", "shown"),
    [(None, "null"), ("{}", "object"), ("null", "null"), ("1", "number"), ('"[]"', "string"), ("true", "boolean")],
)
def test_what_is_no_array_is_refused(database: psycopg.Connection, jobs: str | None, shown: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.execute("select * from pgqueue.enqueue_many(%s::jsonb)", (jobs,))
    assert f"not {shown}" in told(refusal)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (1, "not 1"),
        (None, "not null"),
        ([], "not []"),
        ("send", 'not "send"'),
        ({}, "task must be"),
        ({"task": None}, "not null"),
        ({"task": 5}, "not 5"),
        ({"task": {"a": 1}}, '{"a": 1}'),
        ({**OK, "args": "x"}, "not string"),
        ({**OK, "args": []}, "not array"),
        ({**OK, "argz": {}}, "'argz' is not a parameter"),
        ({**OK, "Queue": "x"}, "'Queue' is not a parameter"),
        ({**OK, "id": 5}, "'id' is not a parameter"),
        ({**OK, "queue": 5}, "not 5"),
        ({**OK, "priority": "high"}, '"high"'),
        ({**OK, "priority": "5"}, '"5"'),
        ({**OK, "priority": 1.5}, "1.5"),
        ({**OK, "priority": True}, "true"),
        ({**OK, "priority": 10**12}, "1000000000000"),
        ({**OK, "max_retries": []}, "[]"),
        ({**OK, "delay": "soon"}, '"soon"'),
        ({**OK, "delay": [1]}, "[1]"),
        ({**OK, "timeout": True}, "true"),
        ({**OK, "timeout": 10**30}, "1" + "0" * 30),
        ({**OK, "run_at": "later"}, '"later"'),
        ({**OK, "run_at": 1700000000}, "1700000000"),
        ({**OK, "headers": [1]}, "[1]"),
        ({**OK, "tags": "x"}, '"x"'),
        ({**OK, "tags": [1]}, "[1]"),
        ({**OK, "tags": [None]}, "[null]"),
        ({**OK, "tags": [["a"]]}, '[["a"]]'),
        ({**OK, "key": 7}, "not 7"),
        ({**OK, "scope": "ttl"}, "'ttl'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_job_is_named_by_its_position_and_none_is_written(
    database: psycopg.Connection, wrong: Any, said: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        in_bulk(database, OK, {**OK, "key": "k"}, wrong, {"task": None})
    message = told(refusal)
    assert message.startswith("job 3: ")
    assert said in message
    assert counted(database) == (0, 0, 0)


def test_duplicates_in_the_array_and_before_it_are_held(database: psycopg.Connection) -> None:
    before = by_name(database, {"key": "a"})
    found = in_bulk(database, {**OK, "key": "a"}, {**OK, "key": "b"}, OK, {**OK, "key": "b"})
    assert [created for _, _, created in found] == [False, True, True, False]
    assert [found[0][1], found[3][1]] == [before, found[1][1]]


def test_a_refused_key_is_named_by_its_position_and_none_is_written(database: psycopg.Connection) -> None:
    before = by_name(database, {"key": "k"})
    with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
        in_bulk(database, OK, {**OK, "key": "k", "on_conflict": "raise"})
    assert told(refusal).startswith(f"job 2: Job {before} holds its key.")
    assert counted(database) == (1, 1, 1)


@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keyed"])
def test_ten_thousand_jobs_are_one_call(database: psycopg.Connection, keyed: bool) -> None:
    many = [{**OK, "args": {"user_id": n}, **({"key": f"k{n}"} if keyed else {})} for n in range(10_000)]
    row = database.execute(
        "select count(*), count(distinct id), bool_and(created), max(position) from pgqueue.enqueue_many(%s::jsonb)",
        (json.dumps(many),),
    ).fetchone()
    assert row == (10_000, 10_000, True, 10_000)
    ordered = "select array_agg((args -> 'user_id')::int order by id) = array(select generate_series(0, 9999)) from pgqueue.job"
    assert first(database, ordered)
    assert counted(database) == (10_000, 10_000 if keyed else 0, 10_000)
