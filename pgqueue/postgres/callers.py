"""Callers' transactions: find the connection behind what the caller holds, without taking it over.

SQLAlchemy is reached through the connection of the session's own transaction, so the job commits and rolls back with the
rows of the session. No driver but psycopg is imported; what a handle can do, and where its class comes from, decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor

from pgqueue.model.errors import HandleError
from pgqueue.postgres.carriers import AsyncPsycopgCarrier, PsycopgCarrier, busy
from pgqueue.postgres.drivers import (
    AsyncpgCarrier,
    AsyncSqlAlchemyCarrier,
    CursorCarrier,
    SqlAlchemyCarrier,
    is_in_transaction,
)
from pgqueue.postgres.explain import failed_transaction, unreachable
from pgqueue.postgres.steps import AsyncCarrier, Carrier
from pgqueue.tasks import Handle

_KNOWN = (
    "a connection, cursor or session of psycopg, SQLAlchemy, Django, psycopg2, pg8000 or asyncpg, "
    "or nothing for a connection of pgqueue's own"
)


def sync_carrier(handle: Handle, schema: str) -> Carrier:
    """Return the carrier into the transaction in which a synchronous handle works.

    Raises:
        HandleError: The handle is asynchronous, unknown, closed, busy, or not on PostgreSQL.
        BackendUnavailable: A session had no connection yet and could not get one.
    """
    given = _plain(handle)
    if isinstance(given, AsyncConnection) or _is_async_sqlalchemy(given) or _is_asyncpg(given):
        raise HandleError(
            f"{_name(given)} is asynchronous and enqueue is not.", "Write: await task.using(handle).aenqueue(...)"
        )
    if isinstance(given, Connection):
        return PsycopgCarrier(_open(given), schema)
    if _is_sync_sqlalchemy(given):
        return _of_sqlalchemy(given, handle.bind, schema)
    if _comes_from(given, "django") and hasattr(given, "vendor"):
        return _of_django(given, schema)
    if _is_dbapi(given, "psycopg2"):
        return _of_psycopg2(given, schema)
    if _is_dbapi(given, "pg8000"):
        return _of_pg8000(given, schema)
    raise _unknown(given)


async def async_carrier(handle: Handle, schema: str) -> AsyncCarrier:
    """Return the carrier into the transaction in which an asynchronous handle works.

    Raises:
        HandleError: The handle is synchronous, unknown, closed, busy, or not on PostgreSQL.
        BackendUnavailable: A session had no connection yet and could not get one.
    """
    given = _plain(handle)
    if isinstance(given, AsyncConnection):
        return await AsyncPsycopgCarrier.of(_open(given), schema)
    if _is_asyncpg(given):
        return _of_asyncpg(given, schema)
    if _is_async_sqlalchemy(given):
        return await _of_async_sqlalchemy(given, handle.bind, schema)
    if isinstance(given, Connection) or _is_sync_sqlalchemy(given) or hasattr(given, "cursor"):
        raise HandleError(
            f"{_name(given)} is synchronous and aenqueue is not.", "Write: task.using(handle).enqueue(...)"
        )
    raise _unknown(given)


def _plain(handle: Handle) -> Any:
    """Return the connection of a cursor, the driver's own of a wrapped one; all else as it is."""
    given: Any = handle.given
    if handle.bind is not None and not _is_session(given):
        raise HandleError(
            f"bind={handle.bind!r} chooses a database of a session, and {_name(given)} is none.", "Leave bind out."
        )
    if isinstance(given, Cursor | AsyncCursor):
        return given.connection
    if _comes_from(given, "psycopg2", "pg8000") and hasattr(type(given), "fetchone"):
        return given._c if _comes_from(given, "pg8000") else given.connection  # pg8000 warns of its .connection
    if _comes_from(given, "sqlalchemy") and hasattr(type(given), "driver_connection"):
        return given.driver_connection
    return given


def _of_sqlalchemy(given: Any, bind: Any, schema: str) -> Carrier:
    with _sqlalchemy_errors(bind):
        connection = given.connection(bind_arguments=_arguments(bind)) if _is_session(given) else given
        _check_dialect(connection)
        if not connection.in_transaction():
            connection.begin()  # as its first statement would; else its commit would not commit the job
        driver = connection.connection.driver_connection
    return (
        PsycopgCarrier(_open(driver), schema)
        if isinstance(driver, Connection)
        else SqlAlchemyCarrier(connection, schema)
    )


async def _of_async_sqlalchemy(given: Any, bind: Any, schema: str) -> AsyncCarrier:
    with _sqlalchemy_errors(bind):
        connection = await given.connection(bind_arguments=_arguments(bind)) if _is_session(given) else given
        _check_dialect(connection)
        if not connection.in_transaction():
            await connection.begin()  # as above
        driver = (await connection.get_raw_connection()).driver_connection
    if isinstance(driver, AsyncConnection):
        return await AsyncPsycopgCarrier.of(_open(driver), schema)
    return AsyncSqlAlchemyCarrier(connection, schema)


def _of_django(given: Any, schema: str) -> Carrier:
    vendor = getattr(given, "vendor", None)
    if vendor != "postgresql":
        raise HandleError(
            f"Django's connection is on {vendor}, not on PostgreSQL.", "Pass connections['...'] of another."
        )
    return CursorCarrier(given.cursor, schema, commits=given.get_autocommit())


def _of_psycopg2(given: Any, schema: str) -> Carrier:
    from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE, cursor

    if given.closed:
        raise _closed()
    if given.async_:
        raise HandleError(
            "The connection of psycopg2 is asynchronous, and its statements cannot be waited for.", f"Pass {_KNOWN}."
        )
    if given.get_transaction_status() == TRANSACTION_STATUS_ACTIVE:
        raise busy()
    commits = given.autocommit and not is_in_transaction(given)
    return CursorCarrier(lambda: given.cursor(cursor_factory=cursor), schema, commits=commits)


def _of_pg8000(given: Any, schema: str) -> Carrier:
    if given._sock is None:
        raise _closed()
    from pg8000 import dbapi

    style = getattr(
        given.cursor(), "paramstyle", dbapi.paramstyle
    )  # the application's choice; $1 passes through the rest
    parameter = {"named": r"(:\1)", "pyformat": r"%(\1)s"}.get(style)
    commits = given.autocommit and not is_in_transaction(given)
    return CursorCarrier(
        given.cursor, schema, commits=commits, parameter=parameter, encoding=lambda: str(given._client_encoding)
    )


def _of_asyncpg(given: Any, schema: str) -> AsyncCarrier:
    from asyncpg import InterfaceError

    try:
        if given.is_closed():
            raise _closed()
    except InterfaceError:  # it went back to its pool
        raise _closed() from None
    return AsyncpgCarrier(given, schema)


def _comes_from(given: Any, *packages: str) -> bool:
    """Whether a class or one of its bases is of a package: people make subclasses of their own."""
    return any(base.__module__.split(".")[0] in packages for base in type(given).__mro__)


def _is_dbapi(given: Any, package: str) -> bool:
    """Whether this is a connection with cursors: not a pool, nor pg8000's connection without them."""
    return _comes_from(given, package) and hasattr(type(given), "cursor") and hasattr(type(given), "commit")


def _is_asyncpg(given: Any) -> bool:
    return _comes_from(given, "asyncpg") and hasattr(type(given), "is_in_transaction")


def _is_session(given: Any) -> bool:
    kind = type(given)
    return hasattr(kind, "get_bind") and callable(getattr(kind, "connection", None))


def _is_async_sqlalchemy(given: Any) -> bool:
    kind = type(given)
    return hasattr(kind, "get_raw_connection") or (_is_session(given) and inspect.iscoroutinefunction(kind.connection))


def _is_sync_sqlalchemy(given: Any) -> bool:
    is_any = _is_session(given) or hasattr(type(given), "exec_driver_sql")
    return is_any and not _is_async_sqlalchemy(given)


def _arguments(bind: Any) -> dict[str, Any] | None:
    """Return how a session is asked for the database meant: by an engine, or by a mapped class."""
    if bind is None:
        return None
    if not isinstance(bind, type) and not hasattr(bind, "dialect"):
        raise _no_bind(bind)
    return {"mapper": bind} if isinstance(bind, type) else {"bind": getattr(bind, "sync_engine", bind)}


def _check_dialect(connection: Any) -> None:
    if connection.dialect.name != "postgresql":
        raise HandleError(
            f"The engine of this handle is on {connection.dialect.name}, not on PostgreSQL.",
            "Pass bind= if the session has several databases, or another handle.",
        )


@contextmanager
def _sqlalchemy_errors(bind: Any) -> Iterator[None]:
    """Say SQLAlchemy's errors in our words: no engine, closed, the database is away."""
    try:
        yield
    except Exception as error:
        reason = getattr(error, "orig", None)
        kind = type(error).__name__
        if kind == "PendingRollbackError":
            raise failed_transaction() from error
        if isinstance(reason, psycopg.OperationalError):
            raise unreachable(reason) from error
        if kind == "OperationalError" and reason is not None:
            raise unreachable(psycopg.OperationalError(str(reason))) from error
        if kind == "UnmappedClassError":
            raise _no_bind(bind) from error
        if kind == "UnboundExecutionError":
            raise HandleError(
                "The session has several databases or none, so it cannot be told which is meant.",
                "Pass bind=engine or bind=Model to using().",
            ) from error
        if type(error).__module__.startswith("sqlalchemy."):
            said = str(error).split("\n", 1)[0].rstrip(".")
            raise HandleError(f"The handle has no open connection ({said}).", "Pass one that is open.") from error
        raise


def _open(connection: Any) -> Any:
    if connection.closed:
        raise _closed()
    return connection


def _no_bind(bind: Any) -> HandleError:
    return HandleError(f"bind={bind!r} is neither an engine nor a mapped class.", "Pass one that the session knows.")


def _closed() -> HandleError:
    return HandleError("The connection is closed.", "Pass one that is open.")


def _unknown(given: Any) -> HandleError:
    return HandleError(f"{_name(given)} carries no transaction that pgqueue knows.", f"Pass {_KNOWN}.")


def _name(given: Any) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"
