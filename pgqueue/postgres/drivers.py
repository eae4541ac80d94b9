"""Connections of other drivers as carriers of jobs: plain SQL in the transaction that they are in.

Django, psycopg2 and pg8000 through their cursors, any driver through SQLAlchemy, asyncpg by itself. Nothing of theirs is
imported but by those who hold one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

from psycopg import Error, OperationalError, errors

from pgqueue.postgres.carriers import busy, undisturbed, unencodable
from pgqueue.postgres.explain import explain, failed_transaction
from pgqueue.postgres.statements import statement
from pgqueue.postgres.steps import Fetch, Run, Step, Traits

_PLAIN = {"stream_results": False, "yield_per": None}  # whatever the caller's connection says
_PARAMETER = re.compile(r"%\((\w+)\)s")


class CursorCarrier:
    """A connection with cursors: Django's, psycopg2's, pg8000's. See ``steps.Carrier``.

    Args:
        cursor: Makes a plain cursor, without the caller's factories.
        parameter: How one is written, as for ``written``.
        encoding: Tells into what text must be encoded, of a driver that would notice in the middle of a message.
    """

    def __init__(
        self,
        cursor: Callable[[], Any],
        schema: str,
        *,
        commits: bool,
        parameter: str | None = r"%(\1)s",
        encoding: Callable[[], str] | None = None,
    ) -> None:
        self._cursor = cursor
        self._encoding = encoding
        self._schema = schema
        self._parameter = parameter
        self.traits = Traits(commits=commits)

    def do(self, step: Step) -> Any:
        """Do a step."""
        with told(self._schema):
            cursor = self._cursor()
            try:
                if isinstance(step, Fetch):
                    text, names = written(step.name, self._schema, self._parameter)
                    in_order = [step.parameters[name] for name in names]
                    if self._encoding is not None:
                        "".join(map(str, in_order)).encode(self._encoding())
                    cursor.execute(text, step.parameters if self._parameter else in_order)
                    return cursor.fetchall()
                assert isinstance(step, Run)
                return cursor.execute(step.text) and None
            finally:
                cursor.close()


class SqlAlchemyCarrier:
    """A SQLAlchemy connection on any driver. See ``steps.Carrier``."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self.traits = _traits(connection)

    def do(self, step: Step) -> Any:
        """Do a step."""
        text, parameters = _clause(step, self._schema)
        with told(self._schema):
            result = self._connection.execute(text, parameters, execution_options=_PLAIN)
            return result.fetchall() if isinstance(step, Fetch) else None


class AsyncSqlAlchemyCarrier:
    """A SQLAlchemy asynchronous connection on any driver. See ``steps.AsyncCarrier``."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self.traits = _traits(connection)

    async def do(self, step: Step) -> Any:
        """Do a step."""
        text, parameters = _clause(step, self._schema)
        with told(self._schema), undisturbed(step) if isinstance(step, Run) else nullcontext():
            result = await self._connection.execute(text, parameters, execution_options=_PLAIN)
            return result.fetchall() if isinstance(step, Fetch) else None


class AsyncpgCarrier:
    """An asyncpg connection. See ``steps.AsyncCarrier``."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self.traits = Traits(commits=not is_in_transaction(connection))

    async def do(self, step: Step) -> Any:
        """Do a step; the statement is unnamed, so that none stays prepared."""
        with told(self._schema):
            if isinstance(step, Run):
                with undisturbed(step):
                    return await self._connection.execute(step.text) and None
            assert isinstance(step, Fetch)
            text, names = written(step.name, self._schema, None)
            prepared = await self._connection.prepare(text, name="")
            return await prepared.fetch(*(step.parameters[name] for name in names))


@cache
def written(name: str, schema: str, parameter: str | None) -> tuple[str, tuple[str, ...]]:
    """Return sql/<name>.sql with another driver's parameters, and their names in order.

    Args:
        parameter: How one is written; None: $1, $2, ...
    """
    text = statement(name, schema).decode()
    names = tuple(_PARAMETER.findall(text))
    if parameter is not None:
        return _PARAMETER.sub(parameter, text), names
    numbers = iter(range(1, len(names) + 1))
    return _PARAMETER.sub(lambda _: f"${next(numbers)}", text), names


@contextmanager
def told(schema: str) -> Iterator[None]:
    """Say any driver's errors in our words, by their SQLSTATE."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise unencodable(error) from None
    except Exception as error:
        if type(error).__name__ == "TransactionManagementError" and _is_django(error):
            raise failed_transaction() from error
        if "another operation is in progress" in str(error):  # asyncpg has no class for it
            raise busy() from error
        reason = _reason(error)
        if reason is None:
            raise
        raise explain(reason, schema, broken=_is_lost(reason)) or error from error


def _is_lost(error: Error) -> bool:
    """Whether the connection broke, or the server ended it."""
    return (error.sqlstate or "").startswith(("08", "57P"))


def _reason(error: Exception) -> Error | None:
    """Return what psycopg would have raised, None for what is no error of a database."""
    original = getattr(error, "orig", None) or (error.__cause__ if _is_django(error) else None) or error
    if isinstance(original, Error):
        return original
    state = _state(original)
    if state is not None:
        kind = errors.lookup(state) if _is_known(state) else Error
        return kind(_message(original))
    if type(original).__name__ in ("OperationalError", "InterfaceError") or isinstance(original, ConnectionError):
        return OperationalError(_message(original))
    return None


def _is_django(error: Exception) -> bool:
    return type(error).__module__.startswith("django.db")


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE: psycopg2 calls it pgcode, asyncpg sqlstate, pg8000 puts it into the arguments."""
    for name in ("sqlstate", "pgcode"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            return value
    details = error.args[0] if error.args else None
    return details.get("C") if isinstance(details, dict) else None


def _message(error: BaseException) -> str:
    details = error.args[0] if error.args else None
    return str(details.get("M")) if isinstance(details, dict) else str(error)


def _is_known(state: str) -> bool:
    try:
        errors.lookup(state)
    except KeyError:
        return False
    return True


def _clause(step: Step, schema: str) -> tuple[Any, Mapping[str, Any]]:
    from sqlalchemy import text

    if isinstance(step, Fetch):  # in brackets, for :name::type is no parameter
        return text(written(step.name, schema, r"(:\1)")[0]), step.parameters
    assert isinstance(step, Run)
    return text(step.text), {}


def _traits(connection: Any) -> Traits:
    connection = getattr(connection, "sync_connection", connection)
    chosen = connection.get_execution_options().get("isolation_level")
    chosen = chosen or getattr(connection.dialect, "_on_connect_isolation_level", None)
    return Traits(commits=chosen == "AUTOCOMMIT" and not is_in_transaction(connection.connection.driver_connection))


def is_in_transaction(driver: Any) -> bool:
    """Whether the caller has begun a transaction, by SQL perhaps, where each statement would commit by itself."""
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return bool(driver.is_in_transaction())
    if hasattr(driver, "get_transaction_status"):  # psycopg2: 0 is idle
        return bool(driver.get_transaction_status())
    return bool(getattr(driver, "_in_transaction", False))  # pg8000
