"""Unique by arguments: which calls are the same, and that the database makes the key."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue import InvalidOption, JobExists, PgQueue, PgQueueError, Task, Unique
from pgqueue.contrib.encryption import Encryption
from tests.keys.hold import rows

Sending = Task[..., None]
KEY = "select pgqueue.unique_key(%s, %s, %s)"


@pytest.mark.parametrize(
    ("first", "same"),
    [
        (((1,), {}), ((1, None), {})),
        (((1,), {}), ((), {"note": None, "user_id": 1})),
        (((1, "a"), {}), ((), {"note": "a", "user_id": 1})),
        ((({"a": 1, "b": [1, {"c": 2, "d": 3}]},), {}), (({"b": [1, {"d": 3, "c": 2}], "a": 1},), {})),
        ((('é\u2028"\\',), {}), (('\u00e9\u2028"\\',), {})),
    ],
)
def test_the_same_call_written_in_two_ways_is_the_same(send: Sending, first: Any, same: Any) -> None:
    unique = send.using(unique=True)
    job = unique.enqueue(*first[0], **first[1])
    again = unique.enqueue(*same[0], **same[1])
    assert (job.created, again.created, again.id) == (True, False, job.id)


@pytest.mark.parametrize("other", [(2,), ("1",), (1, "x"), ([1],), (None,), (True,)], ids=repr)
def test_another_call_is_another(send: Sending, other: tuple[Any, ...]) -> None:
    unique = send.using(unique=True)
    assert unique.enqueue(1).created
    assert unique.enqueue(*other).created


def test_only_the_named_arguments_make_a_call_the_same(send: Sending) -> None:
    unique = send.using(unique=Unique(args=["user_id"]))
    assert unique.enqueue(1, "a").created
    assert not unique.enqueue(1, "b").created
    assert unique.enqueue(2, "a").created


def test_without_any_argument_a_task_is_unique_by_its_name(pgq: PgQueue[None], send: Sending) -> None:
    @pgq.task(name="other")
    def other(user_id: int) -> None: ...

    chosen = Unique(args=[])
    assert send.using(unique=chosen).enqueue(1).created
    assert not send.using(unique=chosen).enqueue(2).created
    assert other.using(unique=chosen).enqueue(1).created


def test_two_tasks_with_the_same_arguments_are_two(pgq: PgQueue[None], send: Sending) -> None:
    @pgq.task(name="other", unique=True)
    def other(user_id: int, note: object = None) -> None: ...

    assert send.using(unique=True).enqueue(1).created
    assert other.enqueue(1).created
    assert not other.enqueue(1).created


def test_the_same_call_in_another_queue_is_another(send: Sending) -> None:
    assert send.using(unique=True).enqueue(1).created
    assert send.using(unique=True, queue="mail").enqueue(1).created


def test_a_task_declares_how_it_is_unique_and_a_call_may_say_otherwise(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    @pgq.task(name="report", unique=Unique(args=["user_id"], scope="ttl", period="1h", on_conflict="raise"))
    def report(user_id: int, pages: int = 1) -> None: ...

    first = report.enqueue(1)
    with pytest.raises(JobExists, match=f"Job {first.id} holds the key of this call of report") as refusal:
        report.enqueue(1, 2)
    assert refusal.value.job_id == first.id
    assert report.using(unique=False).enqueue(1).created
    assert report.using(unique=Unique(args=["pages"])).enqueue(1).created
    own = report.using(key="mine").enqueue(1)
    assert own.created
    held = {row.key: row for row in rows(database)}
    assert held["mine"][2:] == (own.id, "ttl", 3600.0)
    assert len(held) == 3


@pytest.mark.parametrize("names", [["nobody"], ["user_id", "nobody"], [""]])
def test_a_name_that_is_no_parameter_is_refused(send: Sending, database: psycopg.Connection, names: list[str]) -> None:
    with pytest.raises(InvalidOption, match="send has no parameter"):
        send.using(unique=Unique(args=names)).enqueue(1)
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


@pytest.mark.parametrize("names", [None, ["user_id"], ["note", "user_id"], []], ids=repr)
@pytest.mark.parametrize("value", [1, 'é"\\', {"b": 1, "a": [None, 1.5]}, 10**20], ids=repr)
def test_the_key_is_the_one_that_sql_makes(
    send: Sending, database: psycopg.Connection, names: list[str] | None, value: object
) -> None:
    send.using(unique=Unique(args=names)).enqueue(value)
    arguments = Jsonb({"user_id": value, "note": None})
    row = database.execute(KEY, ("send", arguments, names)).fetchone()
    assert row is not None
    assert [held.key for held in rows(database)] == [row[0]]
    assert len(row[0]) <= 200


def test_sql_takes_the_same_call_for_the_same(send: Sending, database: psycopg.Connection) -> None:
    job = send.using(unique=True).enqueue(1)
    row = database.execute(
        """
        select pgqueue.enqueue('send', args, key => pgqueue.unique_key('send', args))
        from (values ('{"note": null, "user_id": 1}'::jsonb)) as given(args)
        """
    ).fetchone()
    assert row == (int(job.id),)


def test_no_two_tasks_and_arguments_make_the_same_text_to_hash(database: psycopg.Connection) -> None:
    pairs = [("a", "{}"), ("a\n{}", "{}"), ("a", '{"b": "\\n{}"}'), ("a\n", "{}"), ("", "{}"), ("a", '{"a": {}}')]
    made = {database.execute(KEY, (task, args, None)).fetchone() for task, args in pairs}
    assert len(made) == len(pairs)


def test_arguments_that_a_codec_stores_are_never_taken_for_each_other(dsn: str, database: psycopg.Connection) -> None:
    """The database sees no arguments then: two different calls must not share a key."""
    pgq = PgQueue(dsn, codec=Encryption([Encryption.new_key()]))

    @pgq.task(name="secret", unique=True)
    def secret(user_id: int) -> None: ...

    try:
        with pytest.raises(PgQueueError, match=r"codec.*Pass key"):
            secret.enqueue(1)
        assert secret.using(unique=False).enqueue(1).created
        assert secret.using(key="k").enqueue(1).created
        assert not secret.using(key="k").enqueue(2).created
    finally:
        pgq.close()
    assert database.execute("select count(*) from pgqueue.job where args is null").fetchone() == (2,)
