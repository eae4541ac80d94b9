"""Keys in a bulk: duplicates are decided in the batch, the answers keep their order, a refusal writes nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgqueue import Job, JobExists, JobSpec, PgQueue, Task, Unique
from pgqueue.postgres import chunks
from tests.keys.hold import rows

Sending = Task[..., None]
STORED = "select id::text, args ->> 'user_id' from pgqueue.job j order by j.id"
SKIP = Unique()
RAISE = Unique(on_conflict="raise")
REPLACE = Unique(on_conflict="replace")


def keyed(send: Sending, key: str | None, value: object, unique: Unique | None = None) -> JobSpec[None]:
    """Bind a call under a key, or under none."""
    if key is None:
        return send.job(value)
    return send.using(key=key, unique=unique or SKIP).job(value)


def told(jobs: list[Job[Any]]) -> list[str]:
    """Return what each job's caller is told."""
    return ["created" if job.created else "replaced" if job.replaced else "held" for job in jobs]


def chunked(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Cut bulks into chunks of this many jobs."""
    monkeypatch.setattr(chunks, "MOST", size)
    monkeypatch.setattr(chunks, "_HANDFUL", 1)


def test_of_equal_keys_that_skip_the_first_wins(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    jobs = pgq.enqueue_many([keyed(send, key, value) for value, key in enumerate("babca")])
    assert told(jobs) == ["created", "created", "held", "created", "held"]
    assert [jobs[2].id, jobs[4].id] == [jobs[0].id, jobs[1].id]
    assert database.execute(STORED).fetchall() == [(jobs[0].id, "0"), (jobs[1].id, "1"), (jobs[3].id, "3")]


def test_of_equal_keys_that_replace_the_last_wins(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    jobs = pgq.enqueue_many([keyed(send, "k", value, REPLACE) for value in range(3)])
    assert told(jobs) == ["held", "held", "created"]
    assert {job.id for job in jobs} == {jobs[2].id}
    assert database.execute(STORED).fetchall() == [(jobs[2].id, "2")]


def test_of_equal_keys_one_that_replaces_wins_over_those_that_skip(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    jobs = pgq.enqueue_many(
        [keyed(send, "k", 0), keyed(send, "k", 1, REPLACE), keyed(send, "k", 2, REPLACE), keyed(send, "k", 3)]
    )
    assert told(jobs) == ["held", "held", "created", "held"]
    assert database.execute(STORED).fetchall() == [(jobs[2].id, "2")]


def test_a_bulk_may_replace_hold_and_create_at_once(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    first = pgq.enqueue_many([keyed(send, "a", 0), keyed(send, "b", 1)])
    jobs = pgq.enqueue_many(
        [keyed(send, None, 2), keyed(send, "b", 3), keyed(send, "a", 4, REPLACE), keyed(send, "c", 5), send.job(6)]
    )
    assert told(jobs) == ["created", "held", "replaced", "created", "created"]
    assert [jobs[1].id, jobs[2].id] == [first[1].id, first[0].id]
    found: dict[str, str] = dict(database.execute(STORED).fetchall())
    assert found == {first[0].id: "4", first[1].id: "1", jobs[0].id: "2", jobs[3].id: "5", jobs[4].id: "6"}
    assert [(row.key, row.job_id) for row in rows(database)] == [
        ("a", first[0].id),
        ("b", first[1].id),
        ("c", jobs[3].id),
    ]


@pytest.mark.parametrize("held_before", [True, False])
def test_raise_refuses_the_whole_bulk_and_the_transaction_goes_on(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, held_before: bool
) -> None:
    before = [send.using(key="k").enqueue(0).id] if held_before else []
    specs = [
        keyed(send, "a", 1),
        keyed(send, "k", 2, RAISE),
        *([] if held_before else [keyed(send, "k", 3, RAISE)]),
        send.job(4),
    ]
    with psycopg.connect(dsn) as connection:
        with pytest.raises(JobExists):
            pgq.using(connection).enqueue_many(specs)
        assert connection.execute(STORED).fetchall() == [(job_id, "0") for job_id in before]
        assert [row.key for row in rows(connection)] == ["k"] * len(before)
        after = send.using(connection, key="a").enqueue(5)
        connection.commit()
    assert database.execute(STORED).fetchall() == [*[(job_id, "0") for job_id in before], (after.id, "5")]


def test_raise_in_a_bulk_names_the_job_that_holds_the_key(pgq: PgQueue[None], send: Sending) -> None:
    first = send.using(key="k").enqueue(0)
    with pytest.raises(JobExists, match=f"Job {first.id} holds the key 'k'") as refusal:
        pgq.enqueue_many([send.job(1), keyed(send, "k", 2, RAISE)])
    assert refusal.value.job_id == first.id


def test_a_bulk_over_two_chunks_is_decided_as_one_would_be(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked(monkeypatch, 4)
    jobs = pgq.enqueue_many(
        [keyed(send, key, value) for value, key in enumerate(["a", None, "b", "a", "b", "c", None])]
    )
    assert told(jobs) == ["created", "created", "created", "held", "held", "created", "created"]
    assert [jobs[3].id, jobs[4].id] == [jobs[0].id, jobs[2].id]
    assert [value for _, value in database.execute(STORED)] == ["0", "1", "2", "5", "6"]


def test_a_replace_over_two_chunks_leaves_the_last(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked(monkeypatch, 2)
    jobs = pgq.enqueue_many([keyed(send, "k", value, REPLACE) for value in range(5)])
    assert told(jobs) == ["held", "created", "held", "replaced", "replaced"]
    assert database.execute(STORED).fetchall() == [(jobs[1].id, "4")]


def test_a_refusal_in_a_later_chunk_takes_the_earlier_back(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked(monkeypatch, 2)
    specs = [keyed(send, key, 0, RAISE) for key in "abca"]
    with pytest.raises(JobExists):
        pgq.enqueue_many(specs)
    with psycopg.connect(dsn) as connection:
        with pytest.raises(JobExists):
            pgq.using(connection).enqueue_many(specs)
        kept = send.using(connection, key="a").enqueue(1)
        connection.commit()
    assert database.execute(STORED).fetchall() == [(kept.id, "1")]
    assert [row.job_id for row in rows(database)] == [kept.id]


def test_counted_are_those_that_were_created(pgq: PgQueue[None], send: Sending) -> None:
    specs = [keyed(send, key, 0) for key in ("a", "b", "a", None)]
    assert pgq.enqueue_many(specs, returning="count") == 3
    assert pgq.enqueue_many(specs, returning="count") == 1


def test_equal_keys_of_different_queues_do_not_meet(pgq: PgQueue[None], send: Sending) -> None:
    other = send.using(key="k", queue="mail")
    assert told(pgq.enqueue_many([keyed(send, "k", 0), other.job(1), keyed(send, "k", 2), other.job(3)])) == [
        "created",
        "created",
        "held",
        "held",
    ]


READ = "select coalesce(seq_tup_read, 0) from pg_stat_xact_user_tables where relid = 'pgqueue.job_key'::regclass"


def test_a_key_in_another_collation_is_the_same_key_and_found_by_index(send: Sending, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        job = send.using(connection, key="k7").enqueue(0)
        found = connection.execute(
            """select pgqueue.enqueue('send', key => ('k' || i) collate "C") from generate_series(1, 100) i"""
        ).fetchall()
        read = connection.execute(READ).fetchone()
        connection.rollback()
    assert (len(set(found)), found[6]) == (100, (int(job.id),))
    assert read is not None
    assert read[0] < 100, "rows of job_key that were read without the index"


def test_each_key_of_a_large_bulk_is_found_by_index(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    """Also when the planner last saw the table with a few rows, where it would read all of it."""
    send.using(key="alone").enqueue(0)
    database.execute("analyze pgqueue.job_key")
    with psycopg.connect(dsn) as connection:
        pgq.using(connection).enqueue_many(keyed(send, f"k{number:03}", number) for number in range(300))
        row = connection.execute(READ).fetchone()
        connection.rollback()
    assert row is not None
    assert row[0] < 300, "rows of job_key that were read without the index"
