"""pgq.bind: the transaction of a web request, which belongs to one thread and one asyncio task."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from anyio import create_task_group, to_thread
from sqlalchemy.orm import Session

from pgqueue import HandleError, PgQueue, Task
from tests.enqueue.openers import Invoice, engine_on

Sending = Task[..., None]


def stored(database: psycopg.Connection) -> list[Any]:
    """Return the first argument of every job, in order of id."""
    return [row[0] for row in database.execute("select args -> 'user_id' from pgqueue.all_jobs order by id").fetchall()]


class Stop(Exception):
    """What a request raises."""


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    """A caller's connection."""
    with psycopg.connect(dsn) as opened:
        yield opened


@pytest.fixture
async def asynchronous(dsn: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A caller's asynchronous connection."""
    async with await psycopg.AsyncConnection.connect(dsn) as opened:
        yield opened


def test_one_and_many_go_into_the_bound_transaction_and_none_afterwards(
    pgq: PgQueue[None], send: Sending, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with pgq.bind(connection):
        send.enqueue(1)
        send.using(priority=3).enqueue(2)
        pgq.enqueue_many([send.job(3), send.job(4)])
        assert stored(database) == []
    send.enqueue(5)
    assert stored(database) == [5]
    connection.commit()
    assert stored(database) == [1, 2, 3, 4, 5]


async def test_an_asynchronous_handle_serves_aenqueue(
    pgq: PgQueue[None], send: Sending, asynchronous: psycopg.AsyncConnection, database: psycopg.Connection
) -> None:
    with pgq.bind(asynchronous):
        await send.aenqueue(1)
        await pgq.aenqueue_many(send.job(number) for number in (2, 3))
        with pytest.raises(HandleError, match=r"is asynchronous.*aenqueue"):
            send.enqueue(4)
    await asynchronous.rollback()
    with pgq.bind(asynchronous):
        await send.aenqueue(5)
    await asynchronous.commit()
    assert stored(database) == [5]


def test_a_block_inside_another_binds_its_own_and_gives_back_the_outer(
    pgq: PgQueue[None], send: Sending, dsn: str, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn) as inner, pgq.bind(connection):
        with pgq.bind(inner):
            send.enqueue("inner")
            with pgq.bind(connection):
                send.enqueue("outer")
            send.enqueue("inner")
        send.enqueue("outer")
        inner.rollback()
    connection.commit()
    assert stored(database) == ["outer", "outer"]


def test_after_an_exception_the_outer_is_bound_again(
    pgq: PgQueue[None], send: Sending, dsn: str, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with pgq.bind(connection):
        with suppress(Stop), psycopg.connect(dsn) as inner, pgq.bind(inner):
            send.enqueue("inner")
            raise Stop
        send.enqueue("outer")
    with pytest.raises(Stop), pgq.bind(connection):
        raise Stop
    send.enqueue("own")
    assert stored(database) == ["own"]
    connection.rollback()
    assert stored(database) == ["own"]


def test_a_handle_that_is_named_wins(
    pgq: PgQueue[None], send: Sending, dsn: str, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn) as named, pgq.bind(connection):
        send.using(named).enqueue("named")
        pgq.using(named).enqueue_many([send.job("named")])
        send.enqueue("bound")
    connection.rollback()
    assert stored(database) == ["named", "named"]


def test_two_applications_bind_apart(
    pgq: PgQueue[None], send: Sending, dsn: str, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    other = PgQueue(dsn)
    with pgq.bind(connection):
        other.task(name="send")(lambda user_id: None).enqueue("other")
        send.enqueue("bound")
    connection.rollback()
    other.close()
    assert stored(database) == ["other"]


def test_a_session_of_two_databases_is_bound_with_the_one_meant(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with Session(binds={Invoice: engine_on(dsn, "psycopg2")}) as session, pgq.bind(session, bind=Invoice):
        send.enqueue(1)
        session.commit()
        send.enqueue(2)
    assert stored(database) == [1]


def test_a_wrong_handle_is_told_at_the_first_job(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    wrong: Any = None
    with pgq.bind(wrong), pytest.raises(HandleError, match="carries no transaction"):
        send.enqueue(1)
    assert stored(database) == []


def test_a_thread_that_inherits_the_block_is_refused(
    pgq: PgQueue[None], send: Sending, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with pgq.bind(connection), ThreadPoolExecutor(1) as threads:
        for call in (lambda: send.enqueue(1), lambda: pgq.enqueue_many([send.job(1)])):
            inherited = contextvars.copy_context()
            with pytest.raises(HandleError, match="bound in another thread"):
                threads.submit(inherited.run, call).result(20)
        send.enqueue(2)
    connection.commit()
    assert stored(database) == [2]


def test_a_thread_that_inherits_nothing_has_a_transaction_of_its_own(
    pgq: PgQueue[None], send: Sending, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with pgq.bind(connection), ThreadPoolExecutor(1) as threads:
        threads.submit(contextvars.Context().run, send.enqueue, "own").result(20)
    connection.rollback()
    assert stored(database) == ["own"]


async def test_a_thread_of_the_event_loop_is_refused(
    pgq: PgQueue[None], send: Sending, connection: psycopg.Connection, database: psycopg.Connection
) -> None:
    with pgq.bind(connection):
        for away in (to_thread.run_sync, asyncio.to_thread):
            run: Any = away
            with pytest.raises(HandleError, match="bound in another thread"):
                await run(lambda: send.enqueue(1))
        send.enqueue(2)
    connection.commit()
    assert stored(database) == [2]


async def test_another_asyncio_task_is_refused(
    pgq: PgQueue[None], send: Sending, asynchronous: psycopg.AsyncConnection, database: psycopg.Connection
) -> None:
    async def refused() -> None:
        with pytest.raises(HandleError, match="asyncio task"):
            await send.aenqueue(1)
        with pytest.raises(HandleError, match="asyncio task"):
            await pgq.aenqueue_many([send.job(1)])

    with pgq.bind(asynchronous):
        await asyncio.create_task(refused())
        await asyncio.gather(refused(), refused())
        async with asyncio.TaskGroup() as group:
            group.create_task(refused())
        async with create_task_group() as tasks:
            tasks.start_soon(refused)
        await send.aenqueue(2)
    await asynchronous.commit()
    assert stored(database) == [2]


async def test_a_task_that_inherits_may_bind_its_own_or_name_one(
    pgq: PgQueue[None], send: Sending, dsn: str, asynchronous: psycopg.AsyncConnection, database: psycopg.Connection
) -> None:
    async def own() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as mine:
            with pgq.bind(mine):
                await send.aenqueue("bound")
            await send.using(mine).aenqueue("named")

    with pgq.bind(asynchronous):
        await asyncio.create_task(own())
    assert stored(database) == ["bound", "named"]


async def test_a_task_born_after_the_owner_was_freed_is_refused_too(
    pgq: PgQueue[None], send: Sending, asynchronous: psycopg.AsyncConnection, database: psycopg.Connection
) -> None:
    inherited: list[contextvars.Context] = []

    async def owner() -> None:
        with pgq.bind(asynchronous):
            inherited.append(contextvars.copy_context())

    await asyncio.create_task(owner())
    (context,) = inherited
    for _ in range(50):  # one of them is likely to stand where the owner stood in memory
        with pytest.raises(HandleError, match="asyncio task"):
            await asyncio.create_task(send.aenqueue(1), context=context)
    assert stored(database) == []


def test_a_generator_that_binds_between_requests_leaves_nothing_bound(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    @contextmanager
    def request(*, fails: bool) -> Iterator[None]:
        with psycopg.connect(dsn) as opened, pgq.bind(opened):
            yield
            if fails:
                raise Stop

    for number in range(4):
        if number % 2:
            with pytest.raises(Stop), request(fails=True):
                send.enqueue(number)
        else:
            with request(fails=False):
                send.enqueue(number)
    assert stored(database) == [0, 2]
