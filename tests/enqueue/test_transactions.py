"""Commit = the job exists, rollback = it never did; the same for every handle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from pgqueue import HandleError, InvalidArguments, PgQueue, Task
from tests.enqueue.handles import Handle, engine_url

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


async def test_many_jobs_keep_their_order_and_commit_together(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    jobs = await handle.enqueue_many(pgq, [send.job(number) for number in range(20)])
    assert stored(database) == []
    await handle.commit()
    order = database.execute("select id::text as job, args -> 'user_id' from pgqueue.all_jobs order by id").fetchall()
    assert order == [(job.id, number) for number, job in enumerate(jobs)]
    claimed = database.execute("select job_id::text from pgqueue.ready order by seq").fetchall()
    assert [job_id for (job_id,) in claimed] == [job.id for job in jobs]


async def test_many_jobs_roll_back_together(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue_many(pgq, [send.job(number) for number in range(20)])
    await handle.rollback()
    assert database.execute(ENTRIES).fetchone() == (0,)


async def test_a_refused_call_sends_nothing_and_leaves_the_transaction_usable(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue(send, 1)
    with pytest.raises(InvalidArguments):
        await handle.enqueue(send)
    with pytest.raises(InvalidArguments):
        await handle.enqueue_many(pgq, [send.job(2), "no job"])  # type: ignore[list-item]
    await handle.enqueue(send, 3)
    await handle.commit()
    assert stored(database) == [1, 3]


async def test_no_prepared_statement_and_no_setting_is_left_in_the_connection(
    handle: Handle, pgq: PgQueue[None], send: Sending
) -> None:
    look = "select name, setting from pg_settings where source <> 'override' and name not like 'plpgsql.%'"
    before = {tuple(row) for row in await handle.execute(look)}
    for number in range(12):  # psycopg prepares at the fifth use
        await handle.enqueue(send, number)
        await handle.enqueue_many(pgq, [send.job(number), send.job(number)])
    assert {tuple(row) for row in await handle.execute(look)} == before
    prepared = await handle.execute("select statement from pg_prepared_statements where statement like '%enqueue%'")
    assert list(prepared) == []
    assert list(await handle.execute("select name from pg_cursors where name <> ''")) == []
    assert list(await handle.execute("select pg_listening_channels()")) == []
    await handle.rollback()


async def test_in_a_failed_transaction_the_error_says_so_and_a_rollback_helps(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    with pytest.raises(Exception, match="division by zero"):
        await handle.execute("select 1/0")
    with pytest.raises(HandleError, match="failed already"):
        await handle.enqueue(send, 1)
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


def test_a_scoped_session_and_a_session_of_a_factory_are_handles_too(
    send: Sending, engine: Engine, database: psycopg.Connection
) -> None:
    factory = sessionmaker(engine)
    scoped = scoped_session(factory)
    send.using(scoped).enqueue(1)
    scoped.commit()
    scoped.remove()
    with factory.begin() as session:
        send.using(session).enqueue(2)
    assert stored(database) == [1, 2]


class Base(DeclarativeBase):
    """Mapped classes of this module."""


class Invoice(Base):
    """A row of the business."""

    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)


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
