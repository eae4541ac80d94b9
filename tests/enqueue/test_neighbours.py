"""Nothing is left in the caller's connection, nor taken from its pool, on every handle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import InvalidArguments, JobExists, JobSpec, PgQueue, Task, Unique
from tests.enqueue.handles import Handle
from tests.enqueue.openers import engine_url, pg8000_connection
from tests.support import COPIED

pytestmark = pytest.mark.usefixtures("chunks_of_500")
Sending = Task[..., None]
TIMES = 20  # psycopg prepares at the fifth use, asyncpg keeps a hundred
SETTINGS = (
    "select name || '=' || setting from pg_settings where name !~ '^plpgsql' and name not in ('search_path_hint')"
)
PREPARED = "select name || statement from pg_prepared_statements"
OTHERS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
LOCKS = "select count(*) from pg_locks where locktype in ('advisory', 'object') and pid = pg_backend_pid()"


class Stop(Exception):
    """What a caller's generator raises."""


def broken(send: Sending) -> Iterator[JobSpec[Any]]:
    """Give more than a chunk of jobs, then raise."""
    yield from (send.job(number) for number in range(1300))
    raise Stop


async def looked(handle: Handle, question: str) -> set[str]:
    """Return the first column, as the caller's connection sees it."""
    return {str(row[0]) for row in await handle.execute(question)}


async def enqueue_in_every_way(handle: Handle, pgq: PgQueue[None], send: Sending) -> None:
    """Enqueue one and many, with and without a key, and be refused."""
    strict = send.using(key="k", unique=Unique(on_conflict="raise"))
    await handle.enqueue(send, 1, key="k")
    await handle.enqueue(send, 2)
    await handle.enqueue_many(pgq, [send.job(3), send.using(key="other").job(4)])
    await handle.enqueue_many(pgq, [send.job(5) for _ in range(COPIED)])
    with pytest.raises(JobExists):
        await handle.enqueue_many(pgq, [strict.job(6)])
    with pytest.raises(InvalidArguments):
        await handle.enqueue(send)
    with pytest.raises(Stop):
        await handle.enqueue_many(pgq, broken(send))


async def test_no_statement_stays_prepared_and_no_cursor_open(
    handle: Handle, pgq: PgQueue[None], send: Sending
) -> None:
    async def left() -> tuple[set[str], set[str], set[str]]:
        # psycopg's own server cursor is the caller's; asking is itself prepared by some drivers, so it is asked before
        cursors = "select name from pg_cursors where statement not like '%pg_cursors%'"
        return (
            await looked(handle, PREPARED),
            await looked(handle, cursors),
            await looked(handle, "select pg_listening_channels()"),
        )

    await handle.enqueue(send, 0)
    await handle.enqueue_many(pgq, [send.using(key="k").job(0)])
    await left()
    before = await left()
    for number in range(TIMES):
        await handle.enqueue(send, number)
        await handle.enqueue_many(pgq, [send.job(number), send.using(key="k").job(number)])
    assert await left() == before
    if not await is_prepared_by_sqlalchemy(handle):
        assert not [one for one in before[0] if "enqueue_" in one]
    await handle.rollback()


async def is_prepared_by_sqlalchemy(handle: Handle) -> bool:
    """Whether SQLAlchemy itself prepares each text once, as it does the caller's own: on asyncpg."""
    return "asyncpg" in str(await handle.state())


async def test_no_setting_and_no_savepoint_and_no_connection_is_left(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    settings, locks = await looked(handle, SETTINGS), await looked(handle, LOCKS)
    (others,) = await looked(handle, OTHERS)
    state = await handle.state()
    await enqueue_in_every_way(handle, pgq, send)
    assert await looked(handle, SETTINGS) == settings
    assert await looked(handle, LOCKS) == locks
    assert await looked(handle, OTHERS) == {others}
    assert await handle.state() == state
    with pytest.raises(Exception, match='savepoint "pgqueue_bulk" does not exist'):
        async with handle.savepoint():
            await handle.execute("rollback to savepoint pgqueue_bulk")
    await handle.commit()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 4,)


@pytest.fixture
def engine(dsn: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine with a pool of one connection, which whoever waits for another one waits for in vain."""
    made = create_engine(engine_url(dsn, request.param), pool_size=1, max_overflow=0, pool_timeout=1)
    yield made
    made.dispose()


@pytest.mark.parametrize("engine", ["psycopg", "psycopg2", "pg8000"], indirect=True)
def test_a_pool_of_sqlalchemy_lends_one_connection_and_gets_it_back(
    engine: Engine, pgq: PgQueue[None], send: Sending
) -> None:
    pool: Any = engine.pool
    for _ in range(3):
        with Session(engine) as session:
            session.execute(text("select 1"))
            send.using(session).enqueue(1)
            pgq.using(session).enqueue_many(send.job(number) for number in range(COPIED))
            with pytest.raises(Stop):
                pgq.using(session).enqueue_many(broken(send))
            assert pool.checkedout() == 1
            session.commit()
            assert pool.checkedout() == 0
            send.using(session).enqueue(2)
            assert pool.checkedout() == 1
        assert pool.checkedout() == 0
        with engine.begin() as connection:
            send.using(connection).enqueue(3)
        assert pool.checkedout() == 0


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_an_asynchronous_pool_of_sqlalchemy_lends_one_connection_and_gets_it_back(
    dsn: str, pgq: PgQueue[None], send: Sending, driver: str
) -> None:
    engine: AsyncEngine = create_async_engine(engine_url(dsn, driver), pool_size=1, max_overflow=0, pool_timeout=1)
    pool: Any = engine.pool
    for _ in range(3):
        async with AsyncSession(engine) as session:
            await send.using(session).aenqueue(1)
            with pytest.raises(Stop):
                await pgq.using(session).aenqueue_many(broken(send))
            assert pool.checkedout() == 1
            await session.commit()
            assert pool.checkedout() == 0
            await send.using(session).aenqueue(2)
        assert pool.checkedout() == 0
    await engine.dispose()


@pytest.mark.parametrize("engine", ["psycopg", "psycopg2", "pg8000"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"stream_results": True},
        {"yield_per": 10},
        {"no_parameters": True},
        {"isolation_level": "SERIALIZABLE"},
        {"schema_translate_map": {None: "elsewhere"}},
        {"compiled_cache": None},
        {"logging_token": "shop"},
    ],
    ids=str,
)
def test_execution_options_of_sqlalchemy_stay_and_do_not_matter(
    engine: Engine, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, options: dict[str, Any]
) -> None:
    with engine.connect().execution_options(**options) as connection:
        before = dict(connection.get_execution_options())
        send.using(connection).enqueue(1)
        pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        with pytest.raises(Stop):
            pgq.using(connection).enqueue_many(broken(send))
        assert dict(connection.get_execution_options()) == before
        connection.commit()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 1,)


@pytest.mark.parametrize("engine", ["psycopg", "psycopg2", "pg8000"], indirect=True)
@pytest.mark.parametrize("everywhere", [True, False])
def test_an_autocommitting_connection_of_sqlalchemy_stores_at_once(
    engine: Engine, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, everywhere: bool
) -> None:
    chosen = engine.execution_options(isolation_level="AUTOCOMMIT") if everywhere else engine
    with chosen.connect() as plain:
        connection = plain if everywhere else plain.execution_options(isolation_level="AUTOCOMMIT")
        send.using(connection).enqueue(1)
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)
        with pytest.raises(Stop):
            pgq.using(connection).enqueue_many(broken(send))
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)
        pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 1,)
        connection.execute(text("begin"))
        pgq.using(connection).enqueue_many(send.job(number) for number in range(1200))
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 1,)
        connection.execute(text("rollback"))
        assert connection.get_execution_options()["isolation_level"] == "AUTOCOMMIT"
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 1,)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_an_autocommitting_asynchronous_connection_of_sqlalchemy_stores_at_once(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, driver: str
) -> None:
    engine = create_async_engine(engine_url(dsn, driver), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await send.using(connection).aenqueue(1)
        with pytest.raises(Stop):
            await pgq.using(connection).aenqueue_many(broken(send))
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)
        await pgq.using(connection).aenqueue_many(send.job(number) for number in range(COPIED))
    await engine.dispose()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (COPIED + 1,)


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_an_autocommitting_connection_of_another_driver_stores_at_once(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, driver: str
) -> None:
    connection = psycopg2.connect(dsn) if driver == "psycopg2" else pg8000_connection(dsn)
    connection.autocommit = True
    send.using(connection).enqueue(1)
    with pytest.raises(Stop):
        pgq.using(connection).enqueue_many(broken(send))
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)
    pgq.using(connection).enqueue_many(send.job(number) for number in range(1200))
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1201,)
    cursor = connection.cursor()
    cursor.execute("begin")
    pgq.using(connection).enqueue_many(send.job(number) for number in range(1200))
    cursor.execute("rollback")
    assert connection.autocommit
    connection.close()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1201,)


@pytest.mark.parametrize(
    "factory", [psycopg2.extras.RealDictCursor, psycopg2.extras.NamedTupleCursor, psycopg2.extras.LoggingCursor]
)
def test_the_cursor_factory_of_psycopg2_stays_and_does_not_matter(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, factory: Any
) -> None:
    with suppress(psycopg2.ProgrammingError):
        psycopg2.connect(dsn).close()
    connection = psycopg2.connect(dsn, cursor_factory=factory)
    job = send.using(connection).enqueue(1)
    (other,) = pgq.using(connection).enqueue_many([send.using(key="k").job(2)])
    assert connection.cursor_factory is factory
    connection.commit()
    connection.close()
    assert database.execute("select array_agg(id::text order by id) from pgqueue.job").fetchone() == (
        [job.id, other.id],
    )
