"""Commit = the job exists, rollback = it never did; the same for every handle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pgqueue import (
    HandleError,
    InvalidArguments,
    InvalidOption,
    InvalidPayload,
    JobExists,
    JobNotCommitted,
    JobNotFound,
    PgQueue,
    Task,
    Unique,
)
from tests.enqueue.handles import Handle
from tests.enqueue.openers import Invoice, engine_url

Sending = Task[..., None]
ENTRIES = """
select (select count(*) from pgqueue.job) + (select count(*) from pgqueue.ready) + (select count(*) from pgqueue.scheduled)
"""


def stored(database: psycopg.Connection) -> list[Any]:
    """Return the first argument of every job, in order of id."""
    return [row[0] for row in database.execute("select args -> 'user_id' from pgqueue.all_jobs order by id").fetchall()]


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    """An engine of SQLAlchemy."""
    made = create_engine(engine_url(dsn))
    yield made
    made.dispose()


class Stop(Exception):
    """What a test raises to leave a savepoint."""


async def test_a_committed_job_exists_exactly_once(handle: Handle, send: Sending, database: psycopg.Connection) -> None:
    job = await handle.enqueue(send, 7)
    await handle.commit()
    rows = database.execute("select id::text, queue, task, state from pgqueue.all_jobs").fetchall()
    assert rows == [(job.id, "default", "send", "ready")]
    assert (job.task, job.queue, job.created) == ("send", "default", True)


async def test_a_job_says_whether_its_transaction_is_open_committed_or_rolled_back(
    handle: Handle, pgq: PgQueue[None], send: Sending
) -> None:
    job = await handle.enqueue(send, 1)
    with pytest.raises(JobNotCommitted):
        job.status()
    await handle.commit()
    assert job.status() == "ready"
    (gone,) = await handle.enqueue_many(pgq, [send.job(2)])
    await handle.rollback()
    with pytest.raises(JobNotFound):
        gone.status()


async def test_a_rolled_back_job_never_existed(handle: Handle, send: Sending, database: psycopg.Connection) -> None:
    await handle.enqueue(send, 1)
    await handle.enqueue(send, 2, delay="1h")
    await handle.rollback()
    assert database.execute(ENTRIES).fetchone() == (0,)


async def test_a_job_commits_with_the_business_row_and_not_without_it(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    database.execute("create table public.invoice (id integer primary key)")
    await handle.execute("insert into public.invoice values (1)")
    await handle.enqueue(send, 1)
    await handle.commit()
    await handle.execute("insert into public.invoice values (2)")
    await handle.enqueue(send, 2)
    await handle.rollback()
    assert database.execute("select array_agg(id) from public.invoice").fetchone() == ([1],)
    assert stored(database) == [1]


async def test_a_job_of_a_rolled_back_savepoint_never_existed_while_the_outer_ones_stay(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue(send, 1)
    with suppress(Stop):
        async with handle.savepoint():
            await handle.enqueue(send, 2)
            raise Stop
    async with handle.savepoint():
        await handle.enqueue(send, 3)
    await handle.enqueue(send, 4)
    await handle.commit()
    assert stored(database) == [1, 3, 4]


async def test_a_job_of_an_open_transaction_is_not_seen_elsewhere(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue(send, 1)
    assert stored(database) == []
    assert len(await handle.execute("select id from pgqueue.all_jobs")) == 1
    await handle.commit()
    assert stored(database) == [1]


async def test_a_refused_call_sends_nothing_and_leaves_the_transaction_usable(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue(send, 1)
    with pytest.raises(InvalidArguments):
        await handle.enqueue(send)
    with pytest.raises(InvalidOption):
        await handle.enqueue(send, 2, priority=11)
    with pytest.raises(InvalidPayload):
        await handle.enqueue(send, float("nan"))
    with pytest.raises(InvalidArguments):
        await handle.enqueue_many(pgq, [send.job(2), "no job"])  # type: ignore[list-item]
    await handle.enqueue(send, 3)
    await handle.commit()
    assert stored(database) == [1, 3]


async def test_a_key_that_is_held_leaves_the_transaction_usable(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    holder = send.using(key="k").enqueue(1)
    skipped = await handle.enqueue(send, 2, key="k")
    assert (skipped.id, skipped.created) == (holder.id, False)
    strict = send.using(key="k", unique=Unique(on_conflict="raise"))
    with pytest.raises(JobExists) as refusal:
        await handle.enqueue(strict, 3)
    assert refusal.value.job_id == holder.id
    with pytest.raises(JobExists):
        await handle.enqueue_many(pgq, [send.job(4), strict.job(5)])
    replaced = await handle.enqueue(send, 6, key="k", unique=Unique(on_conflict="replace"))
    assert (replaced.id, replaced.created, replaced.replaced) == (holder.id, False, True)
    await handle.enqueue(send, 7)
    assert stored(database) == [1]
    await handle.commit()
    assert stored(database) == [6, 7]


async def test_a_replaced_job_is_as_before_when_the_transaction_is_rolled_back(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    send.using(key="k").enqueue(1)
    await handle.enqueue(send, 2, key="k", unique=Unique(on_conflict="replace"))
    await handle.enqueue(send, 3, key="mine")
    await handle.rollback()
    assert stored(database) == [1]
    assert (await handle.enqueue(send, 4, key="mine")).created
    await handle.commit()


async def test_in_a_failed_transaction_the_error_says_so_and_a_rollback_helps(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    with pytest.raises(Exception, match="division by zero"):
        await handle.execute("select 1/0")
    with pytest.raises(HandleError, match="failed already"):
        await handle.enqueue(send, 1)
    with pytest.raises(HandleError, match="failed already"):
        await handle.enqueue_many(pgq, [send.job(1)])
    await handle.rollback()
    await handle.enqueue(send, 2)
    await handle.commit()
    assert stored(database) == [2]


async def test_in_a_read_only_transaction_the_error_says_so(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    await handle.execute("set transaction read only")
    with pytest.raises(HandleError, match="read only"):
        await handle.enqueue(send, 1)
    await handle.rollback()
    await handle.enqueue(send, 2)
    await handle.commit()
    assert stored(database) == [2]


async def test_an_error_of_the_database_inside_a_savepoint_leaves_the_outer_transaction_usable(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    database.execute(
        "create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;"
        "create trigger refuse before insert on pgqueue.job for each row when (new.queue = 'closed')"
        " execute function public.refuse()"
    )
    await handle.enqueue(send, 1)
    with pytest.raises(Exception, match="not today"):
        async with handle.savepoint():
            await handle.enqueue(send, 2, queue="closed")
    await handle.enqueue(send, 3)
    await handle.commit()
    assert stored(database) == [1, 3]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_stricter_isolation_works_too(
    handle: Handle, send: Sending, database: psycopg.Connection, level: str
) -> None:
    await handle.execute(f"set transaction isolation level {level}")
    await handle.enqueue(send, 1)
    await handle.commit()
    assert stored(database) == [1]


async def test_a_job_bound_to_the_handle_commits_and_rolls_back_with_it(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue_bound(pgq, send, 1)
    assert stored(database) == []
    await handle.commit()
    await handle.enqueue_bound(pgq, send, 2)
    await handle.rollback()
    assert stored(database) == [1]


def test_a_session_that_failed_to_flush_says_that_it_must_be_rolled_back(
    send: Sending, engine: Engine, database: psycopg.Connection
) -> None:
    database.execute("create table public.invoice (id integer primary key)")
    database.execute("insert into public.invoice values (1)")
    with Session(engine) as session:
        session.add(Invoice(id=1))
        with pytest.raises(IntegrityError):
            session.flush()
        with pytest.raises(HandleError, match=r"failed already.*Roll it back"):
            send.using(session).enqueue(1)
        session.rollback()
        session.add(Invoice(id=2))
        send.using(session).enqueue(2)
        session.commit()
    assert stored(database) == [2]
