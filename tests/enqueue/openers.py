"""How a handle of each kind is opened: a name, and what opens it on a database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, suppress
from functools import cache, partial
from typing import Any, TypeAlias

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from tests.enqueue.handles import (
    AsyncpgHandle,
    AsyncPsycopgHandle,
    AsyncSqlAlchemyHandle,
    DbapiHandle,
    DjangoHandle,
    Handle,
    PsycopgHandle,
    SqlAlchemyHandle,
)

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[Handle]]
DJANGO_ALIAS = "pgqueue"
SYNC_DRIVERS = ("psycopg", "psycopg2", "pg8000")
ASYNC_DRIVERS = ("psycopg", "asyncpg")


class Shop(DeclarativeBase):
    """What lives in the database of the jobs."""


class Invoice(Shop):
    """A row of the business."""

    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)


class Elsewhere(DeclarativeBase):
    """What lives in another database, which has no jobs."""


class Visit(Elsewhere):
    """A row of another business."""

    __tablename__ = "visit"
    id: Mapped[int] = mapped_column(primary_key=True)


def engine_url(dsn: str, driver: str = "psycopg") -> URL:
    """Return the DSN as SQLAlchemy takes it."""
    given = conninfo_to_dict(dsn)
    query = (
        {"unix_sock": f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"}
        if driver == "pg8000"
        else {"host": str(given["host"])}
    )
    return URL.create(f"postgresql+{driver}", str(given["user"]), database=str(given["dbname"]), query=query)


@cache
def engine_on(dsn: str, driver: str) -> Engine:
    """Return an engine that keeps no connection; it asks the server about itself once."""
    return create_engine(engine_url(dsn, driver), poolclass=NullPool)


@cache
def async_engine_on(dsn: str, driver: str) -> AsyncEngine:
    """Return an asynchronous engine that keeps no connection."""
    return create_async_engine(engine_url(dsn, driver), poolclass=NullPool)


def other_database(dsn: str) -> str:
    """Return the URL of a database of the same server that has no jobs."""
    return make_conninfo(dsn, dbname="postgres")


def pg8000_connection(dsn: str) -> Any:
    """Connect by pg8000, which reads no DSN."""
    url = engine_url(dsn, "pg8000")
    return pg8000.dbapi.connect(user=url.username, database=url.database, **url.query)


@asynccontextmanager
async def _psycopg(dsn: str, *, cursor: Any = None, **options: Any) -> AsyncIterator[Handle]:
    with closing(psycopg.connect(dsn, **options)) as connection:
        if cursor is None:
            yield PsycopgHandle(connection, connection)
        else:
            with closing(cursor(connection)) as given:
                yield PsycopgHandle(connection, given)


@asynccontextmanager
async def _async_psycopg(dsn: str, *, cursor: Any = None, **options: Any) -> AsyncIterator[Handle]:
    connection = await psycopg.AsyncConnection.connect(dsn, **options)
    given = cursor(connection) if cursor else connection
    try:
        yield AsyncPsycopgHandle(connection, given)
    finally:
        await given.close()
        await connection.close()


@asynccontextmanager
async def _core(dsn: str, *, driver: str, **options: Any) -> AsyncIterator[Handle]:
    with engine_on(dsn, driver).execution_options(**options).connect() as given:
        yield SqlAlchemyHandle(given)


@asynccontextmanager
async def _session(dsn: str, *, driver: str, **options: Any) -> AsyncIterator[Handle]:
    with Session(engine_on(dsn, driver).execution_options(**options)) as given:
        yield SqlAlchemyHandle(given)


@asynccontextmanager
async def _scoped_session(dsn: str) -> AsyncIterator[Handle]:
    given = scoped_session(sessionmaker(engine_on(dsn, "psycopg")))
    try:
        yield SqlAlchemyHandle(given)
    finally:
        given.remove()


@asynccontextmanager
async def _session_with_two(dsn: str, *, by_class: bool) -> AsyncIterator[Handle]:
    engine = engine_on(dsn, "psycopg")
    with Session(binds={Shop: engine, Elsewhere: engine_on(other_database(dsn), "psycopg")}) as given:
        yield SqlAlchemyHandle(given, Invoice if by_class else engine)


@asynccontextmanager
async def _async_core(dsn: str, *, driver: str, **options: Any) -> AsyncIterator[Handle]:
    async with async_engine_on(dsn, driver).execution_options(**options).connect() as given:
        yield AsyncSqlAlchemyHandle(given)


@asynccontextmanager
async def _async_session(dsn: str, *, driver: str, **options: Any) -> AsyncIterator[Handle]:
    async with AsyncSession(async_engine_on(dsn, driver).execution_options(**options)) as given:
        yield AsyncSqlAlchemyHandle(given)


@asynccontextmanager
async def _async_scoped_session(dsn: str) -> AsyncIterator[Handle]:
    given = async_scoped_session(async_sessionmaker(async_engine_on(dsn, "psycopg")), scopefunc=lambda: 1)
    try:
        yield AsyncSqlAlchemyHandle(given)
    finally:
        await given.remove()


@asynccontextmanager
async def _async_session_with_two(dsn: str, *, by_class: bool) -> AsyncIterator[Handle]:
    engine = async_engine_on(dsn, "asyncpg")
    other = async_engine_on(other_database(dsn), "psycopg")
    async with AsyncSession(binds={Shop: engine, Elsewhere: other}) as given:
        yield AsyncSqlAlchemyHandle(given, Invoice if by_class else engine)


def _cursor_of_dicts(connection: Any) -> Any:
    return connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)


@asynccontextmanager
async def _psycopg2(dsn: str, *, cursor: Any = None, autocommit: bool = False) -> AsyncIterator[Handle]:
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = autocommit
        yield DbapiHandle(connection, cursor(connection) if cursor else connection)


@asynccontextmanager
async def _pg8000(dsn: str, *, cursor: bool = False, autocommit: bool = False) -> AsyncIterator[Handle]:
    connection = pg8000_connection(dsn)
    connection.autocommit = autocommit
    try:
        yield DbapiHandle(connection, connection.cursor() if cursor else connection)
    finally:
        with suppress(pg8000.dbapi.InterfaceError):  # a broken one cannot be closed
            connection.close()


@asynccontextmanager
async def _asyncpg(dsn: str, *, autocommits: bool = False) -> AsyncIterator[Handle]:
    connection = await asyncpg.connect(dsn)
    try:
        yield AsyncpgHandle(connection, autocommits=autocommits)
    finally:
        await connection.close()


@asynccontextmanager
async def _asyncpg_of_a_pool(dsn: str, *, autocommits: bool = False) -> AsyncIterator[Handle]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        yield AsyncpgHandle(connection, autocommits=autocommits)


@asynccontextmanager
async def _django(dsn: str, *, autocommits: bool = False) -> AsyncIterator[Handle]:
    with django_connection(dsn) as connection:
        handle = DjangoHandle(connection, autocommits=autocommits)
        try:
            yield handle
        finally:
            await handle.close()


@contextmanager
def django_connection(dsn: str) -> Iterator[Any]:
    """Open Django's connection to a database, as its settings would name it; in a coroutine, where Django wants none."""
    import django
    from django.conf import settings
    from django.db import connections
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure(USE_TZ=True, LOGGING_CONFIG=None)
        django.setup()
    given = conninfo_to_dict(dsn)
    names = {"NAME": given["dbname"], "USER": given["user"], "HOST": given["host"]}
    made = ConnectionHandler({"default": {}, DJANGO_ALIAS: {"ENGINE": "django.db.backends.postgresql", **names}})
    connections[DJANGO_ALIAS] = made[DJANGO_ALIAS]
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        yield connections[DJANGO_ALIAS]
    finally:
        connections[DJANGO_ALIAS].close()
        del connections[DJANGO_ALIAS]
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


_KINDS: dict[str, Opener] = {
    "psycopg connection": _psycopg,
    "psycopg cursor": partial(_psycopg, cursor=lambda connection: connection.cursor()),
    "psycopg server cursor": partial(_psycopg, cursor=lambda connection: connection.cursor("rows")),
    "psycopg client cursor": partial(_psycopg, cursor=psycopg.ClientCursor),
    "psycopg async connection": _async_psycopg,
    "psycopg async cursor": partial(_async_psycopg, cursor=lambda connection: connection.cursor()),
    "psycopg async server cursor": partial(_async_psycopg, cursor=lambda connection: connection.cursor("rows")),
    **{f"session on {driver}": partial(_session, driver=driver) for driver in SYNC_DRIVERS},
    **{f"core connection on {driver}": partial(_core, driver=driver) for driver in SYNC_DRIVERS},
    **{f"async session on {driver}": partial(_async_session, driver=driver) for driver in ASYNC_DRIVERS},
    **{f"async core connection on {driver}": partial(_async_core, driver=driver) for driver in ASYNC_DRIVERS},
    "scoped session": _scoped_session,
    "async scoped session": _async_scoped_session,
    "session of two databases, by engine": partial(_session_with_two, by_class=False),
    "session of two databases, by class": partial(_session_with_two, by_class=True),
    "async session of two databases, by engine": partial(_async_session_with_two, by_class=False),
    "async session of two databases, by class": partial(_async_session_with_two, by_class=True),
    "psycopg2 connection": _psycopg2,
    "psycopg2 cursor of dicts": partial(_psycopg2, cursor=_cursor_of_dicts),
    "pg8000 connection": _pg8000,
    "pg8000 cursor": partial(_pg8000, cursor=True),
    "asyncpg connection": _asyncpg,
    "asyncpg connection of a pool": _asyncpg_of_a_pool,
    "django connection": _django,
}
KINDS = tuple(_KINDS)

# Of these, the options that make each statement commit by itself.
_AUTOCOMMITTING: dict[str, dict[str, Any]] = {
    **{kind: {"autocommit": True} for kind in KINDS if kind.startswith("psycopg") and "server cursor" not in kind},
    **{kind: {"autocommit": True} for kind in KINDS if kind.startswith("pg8000")},
    **{
        kind: {"isolation_level": "AUTOCOMMIT"}
        for kind in KINDS
        if kind.startswith(("session on", "core", "async session on", "async core"))
    },
    **{kind: {"autocommits": True} for kind in KINDS if kind.startswith(("asyncpg", "django"))},
}
AUTOCOMMITTING = tuple(_AUTOCOMMITTING)


def open_handle(kind: str, dsn: str) -> AbstractAsyncContextManager[Handle]:
    """Open a handle of this kind on a database."""
    return _KINDS[kind](dsn)


def open_autocommitting(kind: str, dsn: str) -> AbstractAsyncContextManager[Handle]:
    """Open a handle of this kind, of those that autocommit, outside of any transaction."""
    return _KINDS[kind](dsn, **_AUTOCOMMITTING[kind])
