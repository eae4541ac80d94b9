"""A caller's own key: at most one live job of it in a queue; and what a second one does."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import InvalidOption, JobExists, PgQueue, Task, Unique
from tests.keys.hold import Row, rows

Sending = Task[..., None]
KEEP = "select id::text, queue, task, args from pgqueue.job j order by j.id"


def test_a_second_job_of_a_key_is_not_written_and_the_caller_gets_the_holder(
    send: Sending, database: psycopg.Connection
) -> None:
    first = send.using(key="order-42").enqueue(1)
    again = send.using(key="order-42").enqueue(2)
    assert (first.created, first.replaced) == (True, False)
    assert (again.created, again.replaced, again.id) == (False, False, first.id)
    assert database.execute(KEEP).fetchall() == [(first.id, "default", "send", {"user_id": 1})]
    assert rows(database) == [Row("default", "order-42", first.id, "finished", None)]


async def test_the_asynchronous_way_is_told_the_same(pgq: PgQueue[None], send: Sending) -> None:
    chosen = send.using(key="order-42")
    first, again = await chosen.aenqueue(1), await chosen.aenqueue(2)
    assert (first.created, again.created, again.id) == (True, False, first.id)
    await pgq.aclose()


def test_a_key_belongs_to_one_queue_and_to_all_of_its_tasks(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    @pgq.task(name="other")
    def other() -> None: ...

    first = send.using(key="k").enqueue(1)
    assert send.using(key="k", queue="mail").enqueue(1).created
    assert send.using(key="K").enqueue(1).created
    assert other.using(key="k").enqueue().id == first.id
    assert [row[:2] for row in rows(database)] == [("default", "K"), ("default", "k"), ("mail", "k")] or [
        row[:2] for row in rows(database)
    ] == [("default", "k"), ("default", "K"), ("mail", "k")]


def test_a_job_without_a_key_takes_none(send: Sending, database: psycopg.Connection) -> None:
    send.enqueue(1)
    send.enqueue(1)
    assert rows(database) == []
    assert database.execute("select count(*) from pgqueue.job where not has_key").fetchone() == (2,)


@pytest.mark.parametrize("key", ["x" * 200, "é\"\\{},'%s", " ", "NULL", "null", "\t\n", "'; drop"], ids=repr)
def test_any_text_is_a_key(send: Sending, database: psycopg.Connection, key: str) -> None:
    assert send.using(key=key).enqueue(1).created
    assert not send.using(key=key).enqueue(1).created
    assert [row.key for row in rows(database)] == [key]


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "\ud800", 7, b"k", True, ["k"]], ids=lambda key: repr(key)[:12])
def test_what_is_no_key_is_refused(send: Sending, key: object) -> None:
    with pytest.raises(InvalidOption, match="key"):
        send.using(key=key)  # type: ignore[call-overload]


def test_raise_names_the_holder_and_leaves_the_transaction_usable(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    first = send.using(key="k").enqueue(1)
    with psycopg.connect(dsn) as connection:
        with pytest.raises(JobExists, match=rf"Job {first.id} holds the key 'k' in the queue 'default'") as refusal:
            send.using(connection, key="k", unique=Unique(on_conflict="raise")).enqueue(2)
        assert refusal.value.job_id == first.id
        send.using(connection).enqueue(3)
        connection.commit()
    assert [row[3] for row in database.execute(KEEP)] == [{"user_id": 1}, {"user_id": 3}]


def test_raise_enqueues_when_the_key_is_free(send: Sending, database: psycopg.Connection) -> None:
    job = send.using(key="k", unique=Unique(on_conflict="raise")).enqueue(1)
    assert job.created
    assert [row.job_id for row in rows(database)] == [job.id]


def test_a_rolled_back_job_holds_no_key(send: Sending, dsn: str, database: psycopg.Connection) -> None:
    with psycopg.connect(dsn) as connection:
        assert send.using(connection, key="k").enqueue(1).created
        with connection.transaction(force_rollback=True):
            assert not send.using(connection, key="k").enqueue(1).created
            assert send.using(connection, key="other").enqueue(1).created
        connection.rollback()
    assert rows(database) == []
    assert send.using(key="k").enqueue(1).created


def test_the_key_of_the_transaction_itself_is_held(send: Sending, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        first = send.using(connection, key="k").enqueue(1)
        assert send.using(connection, key="k").enqueue(1).id == first.id
        connection.commit()


@pytest.mark.parametrize(
    "options",
    [
        {"key": "k", "unique": Unique(args=["user_id"])},
        {"key": "k", "unique": False},
        {"unique": "yes"},
        {"unique": 1},
        {"unique": ["user_id"]},
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_refused(send: Sending, options: dict[str, object]) -> None:
    with pytest.raises(InvalidOption):
        send.using(**options)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "arguments",
    [
        {"scope": "forever"},
        {"scope": None},
        {"on_conflict": "ignore"},
        {"scope": "ttl"},
        {"period": 0},
        {"period": "-1h"},
        {"period": "soon"},
        {"args": "user_id"},
        {"args": [1]},
    ],
    ids=str,
)
def test_a_unique_that_means_nothing_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidOption):
        Unique(**arguments)  # type: ignore[arg-type]


def test_a_key_may_be_held_as_a_unique_without_args_says(send: Sending, database: psycopg.Connection) -> None:
    job = send.using(key="k", unique=Unique(scope="ttl", period="1m")).enqueue(1)
    assert rows(database) == [Row("default", "k", job.id, "ttl", 60.0)]
    assert not send.using(key="k", unique=True).enqueue(1).created
