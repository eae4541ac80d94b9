"""Callers' transactions: find the psycopg connection behind what the caller holds, without taking it over.

SQLAlchemy is reached through the driver connection of the session's own transaction, so the job commits and rolls back
with the rows of the session. Neither SQLAlchemy nor its classes are imported; what a handle can do decides what it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection

from pgqueue.model.errors import HandleError
from pgqueue.postgres.explain import failed_transaction, unreachable

Driver = TypeVar("Driver", Connection[Any], AsyncConnection[Any])

_KNOWN = "a psycopg Connection or AsyncConnection, or a SQLAlchemy Session or AsyncSession"


def sync_connection(handle: Any) -> Connection[Any]:
    """Return the psycopg connection in whose transaction the handle works.

    Raises:
        HandleError: The handle is asynchronous, unknown, closed, or runs on another driver.
        BackendUnavailable: A session had no connection yet and could not get one.
    """
    if isinstance(handle, AsyncConnection) or _is_async_sqlalchemy(handle):
        raise HandleError(
            f"{_name(handle)} is asynchronous and enqueue is not.", "Write: await task.using(handle).aenqueue(...)"
        )
    if isinstance(handle, Connection):
        return _open(handle, Connection)
    if not _is_sync_sqlalchemy(handle):
        _unknown(handle)
    with _sqlalchemy_errors():
        connection = handle.connection() if _is_session(handle) else handle
        if not connection.in_transaction():
            connection.begin()  # as its first statement would; else its commit would not commit the job
        return _open(connection.connection.driver_connection, Connection)


async def async_connection(handle: Any) -> AsyncConnection[Any]:
    """Return the psycopg connection in whose transaction the asynchronous handle works.

    Raises:
        HandleError: The handle is synchronous, unknown, closed, or runs on another driver.
        BackendUnavailable: A session had no connection yet and could not get one.
    """
    if isinstance(handle, AsyncConnection):
        return _open(handle, AsyncConnection)
    if isinstance(handle, Connection) or _is_sync_sqlalchemy(handle):
        raise HandleError(
            f"{_name(handle)} is synchronous and aenqueue is not.", "Write: task.using(handle).enqueue(...)"
        )
    if not _is_async_sqlalchemy(handle):
        _unknown(handle)
    with _sqlalchemy_errors():
        connection = await handle.connection() if _is_session(handle) else handle
        if not connection.in_transaction():
            await connection.begin()  # as above
        raw = await connection.get_raw_connection()
        return _open(raw.driver_connection, AsyncConnection)


def _is_session(handle: Any) -> bool:
    kind = type(handle)
    return hasattr(kind, "get_bind") and callable(getattr(kind, "connection", None))


def _is_async_sqlalchemy(handle: Any) -> bool:
    kind = type(handle)
    return hasattr(kind, "get_raw_connection") or (_is_session(handle) and inspect.iscoroutinefunction(kind.connection))


def _is_sync_sqlalchemy(handle: Any) -> bool:
    is_any = _is_session(handle) or hasattr(type(handle), "exec_driver_sql")
    return is_any and not _is_async_sqlalchemy(handle)


@contextmanager
def _sqlalchemy_errors() -> Iterator[None]:
    """Say SQLAlchemy's errors in our words: no engine, closed, the database is away."""
    try:
        yield
    except Exception as error:
        reason = getattr(error, "orig", None)
        if type(error).__name__ == "PendingRollbackError":
            raise failed_transaction() from error
        if isinstance(reason, psycopg.OperationalError):
            raise unreachable(reason) from error
        if type(error).__module__.startswith("sqlalchemy."):
            told = str(error).split("\n", 1)[0].rstrip(".")
            raise HandleError(f"The handle has no open connection ({told}).", "Pass one that is open.") from error
        raise


def _open(connection: Any, kind: type[Driver]) -> Driver:
    if not isinstance(connection, kind):
        driver = type(connection).__module__.split(".")[0]
        raise HandleError(
            f"The engine of this handle runs on {driver}, not on psycopg 3.",
            "Create it with postgresql+psycopg:// (also for create_async_engine).",
        )
    if connection.closed:
        raise HandleError("The connection is closed.", "Pass one that is open.")
    return connection


def _unknown(handle: Any) -> NoReturn:
    raise HandleError(f"{_name(handle)} carries no transaction that pgqueue knows.", f"Pass {_KNOWN}.")


def _name(handle: Any) -> str:
    return f"{type(handle).__module__}.{type(handle).__qualname__}"
