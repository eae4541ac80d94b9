"""Producers of the same keys at once: who waits for whom, and whose transaction breaks."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg
import pytest

from pgqueue import InvalidPayload, Job, PgQueue, Task, Unique
from tests.keys.hold import pid, rows, wait_until_blocked

Sending = Task[..., None]
PRODUCERS = 50
KEYS = [f"key-{number:03}" for number in range(100)]
FEW = KEYS[:20]
SEED = 20261124


def _check(database: psycopg.Connection, told: list[list[tuple[str, Job[Any]]]], keys: Sequence[str]) -> None:
    """Every key has one live job, one producer created it, and all were told its id."""
    holders = {row.key: row.job_id for row in rows(database)}
    assert sorted(holders) == list(keys), f"seed {SEED}"
    assert database.execute("select count(*), count(distinct id) from pgqueue.job").fetchone() == (len(keys), len(keys))
    answers = [answer for one in told for answer in one]
    assert len(answers) == PRODUCERS * len(keys)
    assert {(key, job.id) for key, job in answers} == set(holders.items()), f"seed {SEED}"
    assert sorted(key for key, job in answers if job.created) == list(keys)


@pytest.mark.parametrize("way", ["one bulk each", "one by one, sorted"])
def test_fifty_producers_of_the_same_keys_make_one_job_each_and_nobodys_transaction_breaks(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, way: str, run_in_thread: Any
) -> None:
    keys = KEYS if way == "one bulk each" else FEW
    together = threading.Barrier(PRODUCERS)

    def produce(number: int) -> list[tuple[str, Job[Any]]]:
        mine = random.Random(SEED + number).sample(keys, len(keys))
        with psycopg.connect(dsn, options="-c deadlock_timeout=50ms") as connection:
            connection.execute("select 1")
            together.wait()
            if way == "one bulk each":
                jobs = pgq.using(connection).enqueue_many([send.using(key=key).job(number) for key in mine])
            else:
                mine.sort()
                jobs = [send.using(connection, key=key).enqueue(number) for key in mine]
            connection.execute("select 1")  # the transaction is whole
            connection.commit()
        return list(zip(mine, jobs, strict=True))

    told = [running.result() for running in [run_in_thread(produce, number) for number in range(PRODUCERS)]]
    _check(database, told, keys)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_it_waits_for_another_open_transaction_with_the_same_key(
    send: Sending, dsn: str, database: psycopg.Connection, end: str, run_in_thread: Any
) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, autocommit=True) as second:
        job = send.using(first, key="k").enqueue(1)
        waiting = run_in_thread(lambda: send.using(second, key="k").enqueue(2))
        wait_until_blocked(database, pid(second))
        assert send.using(key="other").enqueue(3).created, "other keys are free meanwhile"
        getattr(first, end)()
        answer = waiting.result()
    assert (answer.created, answer.id == job.id) == ((False, True) if end == "commit" else (True, False))


def test_a_skip_of_a_committed_holder_waits_for_nobody(send: Sending, dsn: str, database: psycopg.Connection) -> None:
    """Not even for a transaction that was told the same and is still open."""
    job = send.using(key="k").enqueue(1)
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, options="-c lock_timeout=100ms") as second:
        for connection in (first, second):
            assert send.using(connection, key="k").enqueue(2).id == job.id
        assert database.execute("select count(*) from pg_locks where mode = 'RowShareLock'").fetchone() == (0,)
        assert database.execute("select pgqueue.cancel(%s)", (job.id,)).fetchone() == ("cancelled",)
        assert send.using(second, key="k").enqueue(3).created
        second.commit()


def test_a_lock_timeout_of_the_caller_ends_the_wait(send: Sending, dsn: str) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, options="-c lock_timeout=20ms") as second:
        send.using(first, key="k").enqueue(1)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            send.using(second, key="k").enqueue(2)
        second.rollback()
        first.commit()


QUICK = "-c deadlock_timeout=30ms"


def _ended_by_a_deadlock(connection: psycopg.Connection, take: Callable[[], object]) -> bool:
    """Take keys and commit; say whether PostgreSQL ended the transaction for a deadlock."""
    try:
        take()
    except psycopg.errors.DeadlockDetected:
        connection.rollback()
        return True
    connection.commit()
    return False


def test_two_that_take_two_keys_one_by_one_in_opposite_order_deadlock(
    send: Sending, dsn: str, database: psycopg.Connection, run_in_thread: Any
) -> None:
    with psycopg.connect(dsn, options=QUICK) as one, psycopg.connect(dsn, options=QUICK) as two:
        send.using(one, key="a").enqueue(1)
        send.using(two, key="b").enqueue(1)
        first = run_in_thread(_ended_by_a_deadlock, one, lambda: send.using(one, key="b").enqueue(1))
        wait_until_blocked(database, pid(one))
        second = _ended_by_a_deadlock(two, lambda: send.using(two, key="a").enqueue(1))
        assert sorted([first.result(), second]) == [False, True]
    assert [row.key for row in rows(database)] == ["a", "b"]


def test_two_bulks_of_the_same_keys_in_opposite_order_do_not(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, run_in_thread: Any
) -> None:
    """A third transaction holds both up in the middle: in the order given, each would hold what the other needs."""
    with (
        psycopg.connect(dsn) as middle,
        psycopg.connect(dsn, options=QUICK) as one,
        psycopg.connect(dsn, options=QUICK) as two,
    ):
        for key in ("x", "y"):
            send.using(middle, key=key).enqueue(0)
        running = []
        for connection, keys in ((one, "axb"), (two, "bya")):
            jobs = [send.using(key=key).job(1) for key in keys]
            bulk = partial(pgq.using(connection).enqueue_many, jobs)
            running.append(run_in_thread(_ended_by_a_deadlock, connection, bulk))
            wait_until_blocked(database, pid(connection))
        middle.rollback()
        assert [ended.result() for ended in running] == [False, False]
    assert [row.key for row in rows(database)] == ["a", "b", "x", "y"]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
@pytest.mark.parametrize("on_conflict", ["skip", "raise"])
def test_a_key_taken_since_the_snapshot_breaks_a_transaction_that_keeps_its_snapshot(
    send: Sending, dsn: str, database: psycopg.Connection, isolation: str, on_conflict: Any
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(f"set transaction isolation level {isolation}".encode())
        connection.execute("select count(*) from pgqueue.job")
        send.using(key="k").enqueue(1)
        with pytest.raises(psycopg.errors.SerializationFailure):
            send.using(connection, key="k", unique=Unique(on_conflict=on_conflict)).enqueue(2)
        connection.rollback()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_key_freed_since_the_snapshot_is_no_wrong_answer(
    send: Sending, dsn: str, database: psycopg.Connection, isolation: str
) -> None:
    """Else the call would be dropped for a job that has ended already."""
    job = send.using(key="k").enqueue(1)
    with psycopg.connect(dsn) as connection:
        connection.execute(f"set transaction isolation level {isolation}".encode())
        connection.execute("select count(*) from pgqueue.job")
        job.cancel()
        with pytest.raises(psycopg.errors.SerializationFailure):
            send.using(connection, key="k").enqueue(2)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_to_replace_needs_read_committed(send: Sending, dsn: str, database: psycopg.Connection, isolation: str) -> None:
    """An older snapshot does not see who runs the job."""
    send.using(key="k").enqueue(1)
    with psycopg.connect(dsn) as connection:
        connection.execute(f"set transaction isolation level {isolation}".encode())
        with pytest.raises(InvalidPayload, match="READ COMMITTED"):
            send.using(connection, key="k", unique=Unique(on_conflict="replace")).enqueue(2)


def test_a_key_taken_before_the_snapshot_is_skipped_at_repeatable_read(send: Sending, dsn: str) -> None:
    job = send.using(key="k").enqueue(1)
    with psycopg.connect(dsn) as connection:
        connection.execute("set transaction isolation level repeatable read")
        assert send.using(connection, key="k").enqueue(2).id == job.id
        assert send.using(connection, key="free").enqueue(2).created
        connection.commit()


def test_a_skip_says_nothing_about_what_the_holder_has_read(send: Sending, dsn: str) -> None:
    """The limit that the page states: the holder may run between the skip and the skipping caller's commit."""
    with psycopg.connect(dsn) as caller, psycopg.connect(dsn, autocommit=True) as holder:
        holder.execute("create table public.price (value int); insert into public.price values (1)")
        send.using(key="k").enqueue(1)
        caller.execute("update public.price set value = 2")
        assert not send.using(caller, key="k").enqueue(1).created
        read_by_the_holder = holder.execute("select value from public.price").fetchone()
        caller.commit()
        assert read_by_the_holder == (1,), "its change was skipped and not seen"
