"""Which handles carry a job, and how the others are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, namedtuple_row, scalar_row
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import HandleError, InvalidPayload, PgQueue, Task
from tests.enqueue.handles import engine_url, open_handle

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


@pytest.fixture
async def wrong(dsn: str) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Makes handles that carry nothing, or not in this way."""
    async with AsyncExitStack() as stack:

        async def make(kind: str) -> Any:
            if kind in PLAIN:
                return PLAIN[kind]
            if kind == "engine":
                stack.callback((engine := create_engine(engine_url(dsn))).dispose)
                return engine
            if kind in ("async engine", "asyncpg session", "asyncpg connection"):
                url = (
                    engine_url(dsn) if kind == "async engine" else dsn.replace("postgresql://", "postgresql+asyncpg://")
                )
                other = create_async_engine(url)
                stack.push_async_callback(other.dispose)
                if kind == "async engine":
                    return other
                return await stack.enter_async_context(AsyncSession(other) if "session" in kind else other.connect())
            if kind == "session on another database":
                stack.callback((lite := create_engine("sqlite://")).dispose)
                return stack.enter_context(Session(lite))
            if kind == "session without engine":
                return stack.enter_context(Session())
            if kind.startswith("closed "):
                async with open_handle(kind.removeprefix("closed "), dsn) as handle:
                    pass
                return handle.given
            if kind == "cursor":
                return stack.enter_context(psycopg.connect(dsn)).cursor()
            return (await stack.enter_async_context(open_handle(kind, dsn))).given

        yield make


PLAIN: dict[str, Any] = {
    "text": "postgresql://",
    "None": None,
    "number": 0,
    "class": psycopg.Connection,
    "list": [],
    "empty text": "",
}
FOR_BOTH = [
    *PLAIN,
    "engine",
    "async engine",
    "asyncpg session",
    "asyncpg connection",
    "session on another database",
    "session without engine",
]
ONLY_SYNC = ["psycopg connection", "session", "core connection"]
ONLY_ASYNC = ["psycopg async connection", "async session", "async core connection"]


@pytest.mark.parametrize(
    "kind",
    [*FOR_BOTH, *ONLY_ASYNC, "closed psycopg connection", "closed core connection", "closed async core connection"],
)
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
    with pytest.raises(HandleError):
        pgq.using(handle).enqueue_many([send.job(1)])
    assert_nothing_stored(database)


@pytest.mark.parametrize(
    "kind",
    [
        *FOR_BOTH,
        *ONLY_SYNC,
        "closed psycopg async connection",
        "closed core connection",
        "closed async core connection",
    ],
)
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
    with pytest.raises(HandleError):
        await pgq.using(handle).aenqueue_many([send.job(1)])
    await pgq.aclose()
    assert_nothing_stored(database)


@pytest.mark.parametrize("kind", [*ONLY_ASYNC, *ONLY_SYNC])
async def test_the_remedy_for_the_other_kind_of_call_names_the_right_one(
    wrong: Callable[[str], Awaitable[Any]], send: Sending, kind: str
) -> None:
    handle = await wrong(kind)
    if kind in ONLY_ASYNC:
        with pytest.raises(HandleError, match=r"asynchronous.*await task\.using\(handle\)\.aenqueue"):
            send.using(handle).enqueue(1)
    else:
        with pytest.raises(HandleError, match=r"synchronous.*task\.using\(handle\)\.enqueue"):
            await send.using(handle).aenqueue(1)


async def test_a_cursor_carries_a_job_or_is_refused(
    wrong: Callable[[str], Awaitable[Any]], send: Sending, database: psycopg.Connection
) -> None:
    cursor = await wrong("cursor")
    try:
        send.using(cursor).enqueue(1)
    except HandleError:
        assert_nothing_stored(database)
    else:
        cursor.connection.commit()
        assert database.execute("select count(*) from pgqueue.all_jobs").fetchone() == (1,)


class ShoutingCursor(psycopg.Cursor[Any]):
    """A cursor that no statement of ours may go through."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise AssertionError("the caller's cursor was used")


class ShoutingAsyncCursor(psycopg.AsyncCursor[Any]):
    """As ShoutingCursor."""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise AssertionError("the caller's cursor was used")


@pytest.mark.parametrize("rows", [dict_row, namedtuple_row, scalar_row])
async def test_the_callers_row_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection, rows: Any
) -> None:
    with psycopg.connect(dsn, row_factory=rows) as connection:
        ids = [send.using(connection).enqueue(1).id]
        assert connection.row_factory == rows
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=rows) as asynchronous:
        ids.append((await send.using(asynchronous).aenqueue(2)).id)
    assert [r[0] for r in database.execute("select id::text from pgqueue.job j order by j.id")] == ids


@pytest.mark.parametrize("factory", [ShoutingCursor, psycopg.ClientCursor, psycopg.RawCursor])
def test_the_callers_cursor_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection, factory: Any
) -> None:
    with psycopg.connect(dsn, cursor_factory=factory) as connection:
        job = send.using(connection).enqueue(1)
    assert database.execute("select id::text from pgqueue.job").fetchall() == [(job.id,)]


async def test_the_callers_asynchronous_cursor_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, cursor_factory=ShoutingAsyncCursor) as connection:
        job = await send.using(connection).aenqueue(1)
    assert database.execute("select id::text from pgqueue.job").fetchall() == [(job.id,)]


def test_an_autocommitting_connection_stores_at_once(send: Sending, database: psycopg.Connection) -> None:
    send.using(database).enqueue(1)
    assert database.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)


def test_a_job_may_be_enqueued_within_a_pipeline(send: Sending, dsn: str, database: psycopg.Connection) -> None:
    with psycopg.connect(dsn) as connection, connection.pipeline():
        jobs = [send.using(connection).enqueue(number) for number in range(3)]
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (len(jobs),)


@pytest.mark.parametrize("encoding", ["utf8", "sql_ascii"])
def test_text_survives_a_connection_with_another_encoding(
    send: Sending, dsn: str, database: psycopg.Connection, encoding: str
) -> None:
    with psycopg.connect(dsn, client_encoding=encoding) as connection:
        send.using(connection, tags=["price €"]).enqueue("naïve 日本 €")
    row = database.execute("select args ->> 'user_id', tags from pgqueue.job").fetchone()
    assert row == ("naïve 日本 €", ["price €"])


@pytest.mark.parametrize("encoding", ["latin1", "euc_jp"])
def test_a_connection_whose_encoding_lacks_a_character_is_told_so(
    send: Sending, dsn: str, database: psycopg.Connection, encoding: str
) -> None:
    with psycopg.connect(dsn, client_encoding=encoding) as connection:
        with pytest.raises((InvalidPayload, HandleError)):
            send.using(connection).enqueue("naïve 日本 €")
        send.using(connection).enqueue("plain")
    assert database.execute("select args ->> 'user_id' from pgqueue.job").fetchall() == [("plain",)]


def test_a_task_bound_to_a_handle_can_be_used_again(send: Sending, dsn: str, database: psycopg.Connection) -> None:
    with psycopg.connect(dsn) as connection:
        bound = send.using(connection, queue="mail")
        for number in range(3):
            bound.enqueue(number)
    send.enqueue(3)
    rows = database.execute("select queue, count(*) from pgqueue.job group by 1 order by 1").fetchall()
    assert rows == [("default", 1), ("mail", 3)]
