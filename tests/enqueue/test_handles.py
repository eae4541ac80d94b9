"""Which handles carry a job, and how the others are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from typing import Any

import asyncpg
import pg8000.native
import psycopg
import psycopg2.pool
import psycopg_pool
import pytest
from django.db import connections
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, sessionmaker

from pgqueue import HandleError, PgQueue, SchemaError, Task
from tests.enqueue.openers import (
    DJANGO_ALIAS,
    KINDS,
    Elsewhere,
    Shop,
    Visit,
    async_engine_on,
    django_connection,
    engine_on,
    engine_url,
    open_handle,
    other_database,
)

Sending = Task[..., None]


def assert_nothing_stored(database: psycopg.Connection) -> None:
    """Fail if any job exists."""
    assert database.execute("select count(*) from pgqueue.all_jobs").fetchone() == (0,)


def assert_sentence(error: pytest.ExceptionInfo[HandleError]) -> None:
    """Fail unless the refusal is one sentence and one remedy, in a few words."""
    assert error.value.problem.endswith(".")
    assert error.value.problem.count(". ") == 0
    assert len(str(error.value)) < 300
    assert error.value.remedy


PLAIN: dict[str, Any] = {
    "text": "postgresql://",
    "None": None,
    "number": 0,
    "class": psycopg.Connection,
    "list": [],
    "empty text": "",
    "a class of SQLAlchemy": Session,
    "a factory of sessions": sessionmaker(),
}
SYNC = [kind for kind in KINDS if "async" not in kind]
ASYNC = [kind for kind in KINDS if "async" in kind]
REOPENED = {kind for kind in KINDS if "session" in kind or "django" in kind}  # closing is not the end of these


@pytest.fixture
async def wrong(dsn: str) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Makes handles that carry nothing, or not in this way."""
    async with AsyncExitStack() as stack:

        async def make(kind: str) -> Any:
            if kind in PLAIN:
                return PLAIN[kind]
            if kind.startswith("closed "):
                async with open_handle(kind.removeprefix("closed "), dsn) as handle:
                    await handle.execute("select 1")
                    await handle.rollback()
                return handle.given
            if kind in KINDS:
                return (await stack.enter_async_context(open_handle(kind, dsn))).given
            return await _make(kind, dsn, stack)

        yield make


async def _make(kind: str, dsn: str, stack: AsyncExitStack) -> Any:
    if kind in ENGINES:
        return ENGINES[kind](dsn)
    if "session" in kind:
        return await _make_session(kind, dsn, stack)
    if kind == "psycopg pool":
        return stack.enter_context(psycopg_pool.ConnectionPool(dsn, min_size=0, max_size=1, open=True))
    if kind == "psycopg2 pool":
        return psycopg2.pool.SimpleConnectionPool(0, 1, dsn)
    if kind == "pg8000 native connection":
        url = engine_url(dsn, "pg8000")
        given: Any = pg8000.native.Connection(url.username, database=url.database, **url.query)
        return stack.enter_context(closing(given))
    pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=0, max_size=1))
    if kind == "asyncpg pool":
        return pool
    async with pool.acquire() as lent:
        return lent.cursor("select 1") if kind == "asyncpg cursor" else lent


async def _make_session(kind: str, dsn: str, stack: AsyncExitStack) -> Any:
    other = other_database(dsn)
    if kind == "session on another database":
        return stack.enter_context(Session(_sqlite(stack)))
    if kind == "session without engine":
        return stack.enter_context(Session())
    if kind == "session of two databases without bind":
        both: Any = {Shop: engine_on(dsn, "psycopg"), Elsewhere: engine_on(other, "psycopg")}
        return stack.enter_context(Session(binds=both))
    two: Any = {Shop: async_engine_on(dsn, "asyncpg"), Elsewhere: async_engine_on(other, "psycopg")}
    return await stack.enter_async_context(AsyncSession(binds=two))


def _sqlite(stack: AsyncExitStack) -> Engine:
    engine = create_engine("sqlite://")
    stack.callback(engine.dispose)
    return engine


def _returned(dsn: str) -> Any:
    raw = engine_on(dsn, "psycopg").raw_connection()
    raw.close()
    return raw


def _django_on_sqlite(_dsn: str) -> Any:
    return ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]


ENGINES: dict[str, Callable[[str], Any]] = {
    "engine": lambda dsn: engine_on(dsn, "psycopg"),
    "async engine": lambda dsn: async_engine_on(dsn, "psycopg"),
    "engine on asyncpg": lambda dsn: async_engine_on(dsn, "asyncpg"),
    "returned raw connection of an engine": _returned,
    "django connection to another database": _django_on_sqlite,
    "django's connections": lambda _: connections,
}
MADE = (
    *ENGINES,
    "psycopg pool",
    "psycopg2 pool",
    "pg8000 native connection",
    "asyncpg pool",
    "asyncpg cursor",
    "returned asyncpg connection",
    "session on another database",
    "session without engine",
    "session of two databases without bind",
    "async session of two databases without bind",
)


@pytest.mark.parametrize("kind", [*PLAIN, *MADE, *ASYNC, *(f"closed {kind}" for kind in SYNC if kind not in REOPENED)])
async def test_enqueue_refuses_a_wrong_handle_in_one_sentence(
    wrong: Callable[[str], Awaitable[Any]],
    pgq: PgQueue[None],
    send: Sending,
    database: psycopg.Connection,
    kind: str,
) -> None:
    handle = await wrong(kind)
    with pytest.raises(HandleError) as refusal:
        send.using(handle).enqueue(1)
    assert_sentence(refusal)
    if kind in ASYNC:
        assert "await task.using(handle).aenqueue" in refusal.value.remedy
    with pytest.raises(HandleError):
        pgq.using(handle).enqueue_many([send.job(1)])
    with pytest.raises(HandleError), pgq.bind(handle):
        send.enqueue(1)
    assert_nothing_stored(database)


@pytest.mark.parametrize("kind", [*PLAIN, *MADE, *SYNC, *(f"closed {kind}" for kind in ASYNC if kind not in REOPENED)])
async def test_aenqueue_refuses_a_wrong_handle_in_one_sentence(
    wrong: Callable[[str], Awaitable[Any]],
    pgq: PgQueue[None],
    send: Sending,
    database: psycopg.Connection,
    kind: str,
) -> None:
    handle = await wrong(kind)
    with pytest.raises(HandleError) as refusal:
        await send.using(handle).aenqueue(1)
    assert_sentence(refusal)
    if kind in SYNC:
        assert refusal.value.remedy == "Write: task.using(handle).enqueue(...)"
    with pytest.raises(HandleError):
        await pgq.using(handle).aenqueue_many([send.job(1)])
    with pytest.raises(HandleError), pgq.bind(handle):
        await send.aenqueue(1)
    assert_nothing_stored(database)


@pytest.mark.parametrize("bind", ["text", 7, int, Visit, Elsewhere], ids=str)
async def test_a_bind_that_is_none_is_refused_in_one_sentence(
    dsn: str, send: Sending, database: psycopg.Connection, bind: Any
) -> None:
    engine, async_engine = engine_on(dsn, "psycopg"), async_engine_on(dsn, "asyncpg")
    with Session(binds={Shop: engine}) as session, pytest.raises(HandleError) as refusal:
        send.using(session, bind=bind).enqueue(1)
    assert_sentence(refusal)
    async with AsyncSession(binds={Shop: async_engine}) as asynchronous:
        with pytest.raises(HandleError) as refusal:
            await send.using(asynchronous, bind=bind).aenqueue(1)
    assert_sentence(refusal)
    assert_nothing_stored(database)


async def test_a_bind_beside_what_is_no_session_is_refused(
    dsn: str, send: Sending, database: psycopg.Connection
) -> None:
    with engine_on(dsn, "psycopg").connect() as connection:
        for handle in (connection, database):
            with pytest.raises(HandleError, match="Leave bind out"):
                send.using(handle, bind=connection.engine).enqueue(1)
    assert_nothing_stored(database)


def test_the_other_database_of_a_session_has_no_jobs_and_says_so(dsn: str, send: Sending) -> None:
    engine, other = engine_on(dsn, "psycopg"), engine_on(other_database(dsn), "psycopg2")
    with Session(binds={Shop: engine, Elsewhere: other}) as session:
        for bind in (other, Visit):
            with pytest.raises(SchemaError):
                send.using(session, bind=bind).enqueue(1)
            session.rollback()


def test_a_raw_connection_of_an_engine_and_djangos_proxy_are_handles_too(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    for driver in ("psycopg", "psycopg2", "pg8000"):
        raw: Any = engine_on(dsn, driver).raw_connection()
        send.using(raw).enqueue(driver)
        raw.commit()
        send.using(raw).enqueue("never")
        raw.close()
    with django_connection(dsn):
        proxy: Any = ConnectionProxy(connections, DJANGO_ALIAS)
        send.using(proxy).enqueue("django")
    rows = database.execute("select args ->> 'user_id' from pgqueue.job order by id").fetchall()
    assert [name for (name,) in rows] == ["psycopg", "psycopg2", "pg8000", "django"]


async def test_a_session_that_was_closed_begins_anew(dsn: str, send: Sending, database: psycopg.Connection) -> None:
    with Session(engine_on(dsn, "psycopg")) as session:
        send.using(session).enqueue("never")
    send.using(session).enqueue(1)
    session.commit()
    async with AsyncSession(async_engine_on(dsn, "asyncpg")) as asynchronous:
        await send.using(asynchronous).aenqueue("never")
    await send.using(asynchronous).aenqueue(2)
    await asynchronous.commit()
    await asynchronous.close()
    session.close()
    assert database.execute("select array_agg(args -> 'user_id' order by id) from pgqueue.job").fetchone() == ([1, 2],)


def test_a_task_bound_to_a_handle_can_be_used_again(send: Sending, dsn: str, database: psycopg.Connection) -> None:
    with psycopg.connect(dsn) as connection:
        bound = send.using(connection, queue="mail")
        for number in range(3):
            bound.enqueue(number)
    send.enqueue(3)
    rows = database.execute("select queue, count(*) from pgqueue.job group by 1 order by 1").fetchall()
    assert rows == [("default", 1), ("mail", 3)]
