"""The driver's errors that a caller can do something about, in our words."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import errors

from pgqueue.model.errors import (
    BackendUnavailable,
    ConfigurationError,
    HandleError,
    InvalidPayload,
    PgQueueError,
    SchemaError,
)

DEFAULT_SCHEMA = "pgqueue"


def explain(error: psycopg.Error, schema: str, *, broken: bool) -> PgQueueError | None:
    """Return our error for a driver's error, None when it has to go up as it is.

    Args:
        broken: Whether the connection is lost.
    """
    for kinds, words in _EXPLAINED:
        if isinstance(error, kinds):
            return words(first_line(error), schema)
    if broken or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
        return unreachable(error)
    return None


def unreachable(error: psycopg.Error) -> BackendUnavailable:
    """Return our error for a connection that could not be made, or broke."""
    return BackendUnavailable(
        f"PostgreSQL cannot be reached ({first_line(error)}).", "Check that it runs and that the DSN is right."
    )


def failed_transaction() -> HandleError:
    """Return our error for a transaction that an earlier error has ended."""
    return HandleError(
        "The transaction of this connection has failed already, so nothing can be enqueued in it.",
        "Roll it back, or to a savepoint, first.",
    )


def first_line(error: psycopg.Error) -> str:
    """Return what the driver says, without its context."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _missing(line: str, schema: str) -> PgQueueError:
    command = "pgqueue migrate" if schema == DEFAULT_SCHEMA else f"pgqueue migrate --schema {schema}"
    return SchemaError(f'The database has no schema "{schema}" of this version ({line}).', f"Run: {command}")


def _failed(_line: str, _schema: str) -> PgQueueError:
    return failed_transaction()


def _read_only(_line: str, _schema: str) -> PgQueueError:
    return HandleError(
        "The transaction of this connection is read only, so nothing can be enqueued in it.",
        "Use a connection to the primary in a read-write transaction.",
    )


def _forbidden(line: str, schema: str) -> PgQueueError:
    return ConfigurationError(
        f'The database role may not do this in the schema "{schema}" ({line}).',
        "Let its owner run: pgqueue grant producer NAME (or worker, auditor, admin), or connect as another role.",
    )


def _lacking(line: str, _schema: str) -> PgQueueError:
    return ConfigurationError(f"The database lacks what is named ({line}).", "Create it, then try again.")


def _ended(_line: str, _schema: str) -> PgQueueError:
    return HandleError(
        "The transaction of this connection was ended while a bulk was being written in it, so a part may be committed.",
        "Neither commit nor roll back in the generator that makes the jobs.",
    )


def _refused(line: str, _schema: str) -> PgQueueError:
    return InvalidPayload(f"PostgreSQL refuses a value ({line}).", "Pass another one.")


_EXPLAINED: tuple[tuple[tuple[type[psycopg.Error], ...], Callable[[str, str], PgQueueError]], ...] = (
    (
        (errors.UndefinedFunction, errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn),
        _missing,
    ),
    ((errors.InFailedSqlTransaction,), _failed),
    ((errors.ReadOnlySqlTransaction,), _read_only),
    ((errors.InsufficientPrivilege,), _forbidden),
    ((errors.UndefinedObject,), _lacking),
    ((errors.InvalidSavepointSpecification, errors.NoActiveSqlTransaction), _ended),
    ((psycopg.DataError,), _refused),
)
