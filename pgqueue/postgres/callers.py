"""Callers' transactions: find the psycopg connection behind what the caller holds, without taking it over.

SQLAlchemy is reached through the driver connection of the session's own transaction, so the job commits and rolls back
with the rows of the session. Neither SQLAlchemy nor its classes are imported; what a handle can do decides what it is.
"""

from __future__ import annotations

import inspect
from typing import Any, NoReturn, TypeVar

from psycopg import AsyncConnection, Connection

from pgqueue.model.errors import HandleError

Driver = TypeVar("Driver", Connection[Any], AsyncConnection[Any])

_KNOWN = "a psycopg Connection or AsyncConnection, or a SQLAlchemy Session or AsyncSession"


def sync_connection(handle: Any) -> Connection[Any]:
    """Return the psycopg connection in whose transaction the handle works.

    Raises:
        HandleError: The handle is asynchronous, unknown, closed, or runs on another driver.
    """
    if isinstance(handle, AsyncConnection) or _is_async_sqlalchemy(handle):
        raise HandleError(
            f"{_name(handle)} is asynchronous and enqueue is not.",
            "Write: await task.using(handle).aenqueue(...)",
        )
    if not isinstance(handle, Connection):
        connection = handle.connection() if _is_session(handle) else handle
        if not hasattr(connection, "exec_driver_sql"):
            _unknown(handle)
        handle = connection.connection.driver_connection
    return _open(handle, Connection)


async def async_connection(handle: Any) -> AsyncConnection[Any]:
    """Return the psycopg connection in whose transaction the asynchronous handle works.

    Raises:
        HandleError: The handle is synchronous, unknown, closed, or runs on another driver.
    """
    if isinstance(handle, AsyncConnection):
        return _open(handle, AsyncConnection)
    if not _is_async_sqlalchemy(handle):
        if isinstance(handle, Connection) or _is_session(handle) or hasattr(handle, "exec_driver_sql"):
            raise HandleError(
                f"{_name(handle)} is synchronous and aenqueue is not.",
                "Write: task.using(handle).enqueue(...)",
            )
        _unknown(handle)
    connection = await handle.connection() if _is_session(handle) else handle
    raw = await connection.get_raw_connection()
    return _open(raw.driver_connection, AsyncConnection)


def _is_session(handle: Any) -> bool:
    return callable(getattr(handle, "connection", None)) and hasattr(handle, "get_bind")


def _is_async_sqlalchemy(handle: Any) -> bool:
    method = handle.connection if _is_session(handle) else getattr(handle, "exec_driver_sql", None)
    return inspect.iscoroutinefunction(method) or hasattr(handle, "get_raw_connection")


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
