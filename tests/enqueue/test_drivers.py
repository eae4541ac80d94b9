"""What is particular to one driver: states in which it would break, hang, or say something of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import asyncpg
import pg8000
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from pgqueue import HandleError, InvalidPayload, PgQueue, Task
from tests.enqueue.openers import (
    ASYNC_DRIVERS,
    DJANGO_ALIAS,
    SYNC_DRIVERS,
    async_engine_on,
    django_connection,
    engine_on,
    engine_url,
    pg8000_connection,
)
from tests.support import COPIED, Watch

Sending = Task[..., None]
COUNT = "select count(*) from pgqueue.job"


def counted(database: psycopg.Connection) -> Any:
    """Return how many jobs there are."""
    row = database.execute(COUNT).fetchone()
    assert row is not None
    return row[0]


class Stop(Exception):
    """What leaves a block."""


def test_a_block_of_django_that_must_roll_back_says_so(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with django_connection(dsn) as connection:
        from django.db.transaction import atomic

        with atomic(using=DJANGO_ALIAS):
            with suppress(Stop), atomic(using=DJANGO_ALIAS, savepoint=False):
                raise Stop
            with pytest.raises(HandleError, match="failed already"):
                send.using(connection).enqueue(1)
            with pytest.raises(HandleError, match="failed already"):
                pgq.using(connection).enqueue_many([send.job(1)])
        send.using(connection).enqueue(2)
    assert counted(database) == 1


@pytest.mark.usefixtures("chunks_of_500")
def test_outside_of_atomic_django_stores_at_once_and_a_bulk_whole(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    def broken() -> Iterator[Any]:
        yield from (send.job(number) for number in range(1300))
        raise Stop

    with django_connection(dsn) as connection:
        send.using(connection).enqueue(1)
        assert counted(database) == 1
        with pytest.raises(Stop):
            pgq.using(connection).enqueue_many(broken())
        assert counted(database) == 1
        connection.set_autocommit(False)
        send.using(connection).enqueue(2)
        connection.rollback()
        send.using(connection).enqueue(3)
        connection.commit()
    assert counted(database) == 2


async def test_a_busy_connection_of_asyncpg_is_refused_and_goes_on(
    send: Sending, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    database.execute("select pg_advisory_lock(7)")
    connection = await asyncpg.connect(dsn)
    waiting = asyncio.create_task(connection.execute("select pg_advisory_xact_lock(7)"))
    await watch.auntil("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
    with pytest.raises(HandleError, match="busy with another statement"):
        await send.using(connection).aenqueue(1)
    database.execute("select pg_advisory_unlock(7)")
    await waiting
    await send.using(connection).aenqueue(2)
    await connection.close()
    assert counted(database) == 1


@pytest.mark.parametrize("encoding", ["utf8", "sql_ascii"])
def test_text_survives_a_connection_with_another_encoding(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, encoding: str
) -> None:
    with psycopg.connect(dsn, client_encoding=encoding) as connection:
        send.using(connection, tags=["price €"]).enqueue("naïve 日本 €")
        ids = pgq.using(connection).enqueue_many((send.job("naïve 日本 €") for _ in range(COPIED)), returning="ids")
    rows = database.execute("select distinct args ->> 'user_id', count(*) over () from pgqueue.job").fetchall()
    assert rows == [("naïve 日本 €", COPIED + 1)]
    assert database.execute("select tags from pgqueue.job where tags is not null").fetchall() == [(["price €"],)]
    assert all(isinstance(job_id, str) for job_id in ids)


@pytest.mark.parametrize("encoding", ["latin1", "euc_jp"])
def test_a_connection_whose_encoding_lacks_a_character_is_told_so(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, encoding: str
) -> None:
    with psycopg.connect(dsn, client_encoding=encoding) as connection:
        with pytest.raises(InvalidPayload, match="client_encoding"):
            send.using(connection).enqueue("naïve 日本 €")
        with pytest.raises(InvalidPayload, match="client_encoding"):
            pgq.using(connection).enqueue_many(send.job("naïve 日本 €") for _ in range(COPIED))
        send.using(connection).enqueue("plain")
    assert database.execute("select args ->> 'user_id' from pgqueue.job").fetchall() == [("plain",)]


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii"])
def test_text_that_psycopg2_cannot_encode_is_told(
    send: Sending, dsn: str, database: psycopg.Connection, encoding: str
) -> None:
    engine = create_engine(engine_url(dsn, "psycopg2"), client_encoding=encoding)
    with closing(psycopg2.connect(dsn)) as connection, Session(engine) as session:
        connection.set_client_encoding(encoding)
        handles: tuple[Any, ...] = (connection, session)
        for handle in handles:
            with pytest.raises(InvalidPayload, match="client_encoding"):
                send.using(handle).enqueue("naïve 日本 €")
            send.using(handle).enqueue("plain")
            handle.commit()
    engine.dispose()
    assert counted(database) == 2


def test_an_asynchronous_connection_of_psycopg2_is_refused(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with closing(psycopg2.connect(dsn, async_=1)) as connection:
        psycopg2.extras.wait_select(connection)
        with pytest.raises(HandleError, match="asynchronous"):
            send.using(connection).enqueue(1)
    assert counted(database) == 0


def test_during_a_copy_of_psycopg2_a_job_is_refused_and_the_copy_goes_on(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    class Rows:
        """A file of two rows."""

        def __init__(self) -> None:
            self.lines = ["1\n", "2\n"]

        def read(self, _size: int) -> str:
            """Return the next row, and try to enqueue meanwhile."""
            with pytest.raises(HandleError, match="busy"):
                send.using(connection).enqueue(1)
            return self.lines.pop() if self.lines else ""

    database.execute("create table public.invoice (id integer)")
    with closing(psycopg2.connect(dsn)) as connection:
        connection.cursor().copy_expert("copy public.invoice from stdin", Rows())
        send.using(connection).enqueue(2)
        connection.commit()
    assert database.execute(f"select count(*), ({COUNT}) from public.invoice").fetchone() == (2, 1)


@pytest.mark.parametrize("style", ["format", "pyformat", "named", "numeric", "qmark"])
def test_the_way_in_which_pg8000_writes_parameters_does_not_matter(
    pgq: PgQueue[None],
    send: Sending,
    dsn: str,
    database: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    style: str,
) -> None:
    url = engine_url(dsn, "pg8000")
    monkeypatch.setattr(pg8000.dbapi, "paramstyle", style)
    monkeypatch.setattr(pg8000, "paramstyle", style)
    for connection in (pg8000_connection(dsn), pg8000.connect(url.username, database=url.database, **url.query)):
        send.using(connection, tags=["50 % :of $1 ?"]).enqueue("50 % :of $1 ?")
        pgq.using(connection).enqueue_many(send.using(key=f"k{number}").job(number) for number in range(3))
        connection.rollback()
        send.using(connection, tags=["50 % :of $1 ?"]).enqueue("50 % :of $1 ?")
        connection.commit()
        connection.close()
    rows = database.execute("select args ->> 'user_id', tags from pgqueue.job").fetchall()
    assert rows == [("50 % :of $1 ?", ["50 % :of $1 ?"])] * 2


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_in_a_block_of_sqlalchemy_that_is_over_a_job_is_refused(
    send: Sending, dsn: str, database: psycopg.Connection, driver: str
) -> None:
    engine = engine_on(dsn, driver)
    with engine.begin() as connection:
        begun = connection.get_transaction()
        assert begun is not None
        begun.rollback()
        with pytest.raises(HandleError, match="closed transaction"):
            send.using(connection).enqueue(1)
    with Session(engine) as session, session.begin():
        session.rollback()
        with pytest.raises(HandleError, match="closed transaction"):
            send.using(session).enqueue(1)
    assert counted(database) == 0


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_events_of_a_session_may_enqueue_before_its_commit_and_are_refused_after_it(
    send: Sending, dsn: str, database: psycopg.Connection, driver: str
) -> None:
    def before(session: Session) -> None:
        send.using(session).enqueue("in time")

    def after(session: Session) -> None:
        with pytest.raises(HandleError, match="'committed' state"):
            send.using(session).enqueue("late")

    with Session(engine_on(dsn, driver)) as session:
        event.listen(session, "before_commit", before)
        event.listen(session, "after_commit", after)
        session.connection()
        session.commit()
    assert counted(database) == 1


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_handle_that_has_done_nothing_yet_begins_with_the_job(
    send: Sending, dsn: str, database: psycopg.Connection, driver: str
) -> None:
    async with async_engine_on(dsn, driver).connect() as connection:
        await send.using(connection).aenqueue(1)
        assert connection.in_transaction()
        await connection.rollback()
        async with connection.begin():
            await send.using(connection).aenqueue(2)
    assert counted(database) == 1


class Loud(psycopg.adapt.Loader):
    """Reads text in a way of the caller's own."""

    def load(self, data: Any) -> str:
        """Shout."""
        return f"{bytes(data).decode()}!"


@pytest.mark.parametrize("size", [1, COPIED])
def test_the_callers_own_way_to_read_text_does_not_change_ids_on_psycopg(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, size: int
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.adapters.register_loader("text", Loud)
        ids = pgq.using(connection).enqueue_many([send.job(number) for number in range(size)], returning="ids")
    assert database.execute("select array_agg(id::text order by id) from pgqueue.job").fetchone() == (ids,)


async def test_the_callers_own_way_to_read_text_does_not_change_ids_on_asyncpg(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.set_type_codec("text", encoder=str, decoder="{}!".format, schema="pg_catalog", format="text")
    try:
        job = await send.using(connection).aenqueue(1)
    finally:
        await connection.close()
    assert database.execute("select id::text from pgqueue.job").fetchall() == [(job.id,)]


def test_text_that_pg8000_cannot_encode_leaves_the_connection_usable(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with closing(pg8000_connection(dsn)) as connection:
        connection.cursor().execute("set client_encoding = latin1")
        with pytest.raises(InvalidPayload, match="client_encoding"):
            send.using(connection).enqueue("naïve 日本 €")
        send.using(connection).enqueue("plain")
        connection.commit()
    assert counted(database) == 1
