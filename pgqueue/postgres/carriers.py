"""psycopg's connections as carriers of jobs, without leaving anything behind in them.

Cursors are made by class, because the caller may have set a row or cursor factory; nothing is prepared, because the
connection and its prepared statements are the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from anyio import fail_after
from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from pgqueue.model.errors import HandleError, InvalidPayload
from pgqueue.postgres.explain import explain
from pgqueue.postgres.statements import statement
from pgqueue.postgres.steps import Copy, Fetch, Run, Step, Traits

PATIENCE = 10.0  # seconds until a connection that is busy with something else is given up

_AnyConnection = Connection[Any] | AsyncConnection[Any]


class PsycopgCarrier:
    """A psycopg connection. See ``steps.Carrier``."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        if not connection.lock.acquire(timeout=PATIENCE):
            raise busy()
        try:
            self.traits = _traits(connection)
        finally:
            connection.lock.release()

    def do(self, step: Step) -> Any:
        """Do a step."""
        cursor = Cursor(self._connection, row_factory=tuple_row)
        with explained(self._connection, self._schema):
            if isinstance(step, Fetch):
                return cursor.execute(statement(step.name, self._schema), step.parameters, prepare=False).fetchall()
            if isinstance(step, Copy):
                with cursor.copy(statement(step.name, self._schema)) as copy:
                    for block in step.blocks:
                        copy.write(block)
                return None
            assert isinstance(step, Run)
            return cursor.execute(step.text.encode(), prepare=False) and None


class AsyncPsycopgCarrier:
    """A psycopg asynchronous connection. See ``steps.AsyncCarrier``."""

    def __init__(self, connection: AsyncConnection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self.traits = _traits(connection)

    @classmethod
    async def of(cls, connection: AsyncConnection[Any], schema: str) -> AsyncPsycopgCarrier:
        """Wait for what the connection does now, and return it as a carrier."""
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.lock.acquire()
        except TimeoutError:
            raise busy() from None
        try:
            return cls(connection, schema)
        finally:
            connection.lock.release()

    async def do(self, step: Step) -> Any:
        """Do a step."""
        cursor = AsyncCursor(self._connection, row_factory=tuple_row)
        with explained(self._connection, self._schema):
            if isinstance(step, Fetch):
                await cursor.execute(statement(step.name, self._schema), step.parameters, prepare=False)
                return await cursor.fetchall()
            if isinstance(step, Copy):
                async with cursor.copy(statement(step.name, self._schema)) as copy:
                    for block in step.blocks:
                        await copy.write(block)
                return None
            assert isinstance(step, Run)
            with undisturbed(step):
                await cursor.execute(step.text.encode(), prepare=False)
            return None


def undisturbed(step: Run) -> AbstractContextManager[object]:
    """Keep what ends a bulk from being cancelled with its caller, whose connection would be lost by it."""
    return fail_after(PATIENCE, shield=True) if step.text.startswith(("rollback", "release")) else nullcontext()


@contextmanager
def explained(connection: _AnyConnection, schema: str) -> Iterator[None]:
    """Say the driver's errors in our words."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, schema, broken=connection.broken) or error from error
    except UnicodeEncodeError as error:
        raise unencodable(error) from None


def _traits(connection: _AnyConnection) -> Traits:
    """Look at a connection while its lock is held, so that no other thread's statement is under way."""
    if _is_busy(connection):
        raise busy()
    status = connection.info.transaction_status
    return Traits(
        copies=connection.pgconn.pipeline_status == PipelineStatus.OFF and connection.info.encoding != "ascii",
        commits=connection.autocommit and status == TransactionStatus.IDLE,
    )


def _is_busy(connection: _AnyConnection) -> bool:
    """Whether a statement is under way, such as a COPY. In a pipeline that is no hindrance."""
    return (
        connection.pgconn.pipeline_status == PipelineStatus.OFF
        and connection.info.transaction_status == TransactionStatus.ACTIVE
    )


def unencodable(error: UnicodeEncodeError) -> InvalidPayload:
    """Return our error for text that the connection's encoding cannot carry."""
    return InvalidPayload(
        f"The connection's client_encoding {error.encoding} lacks a character of the job ({error.reason}).",
        "Connect with client_encoding=utf8.",
    )


def busy() -> HandleError:
    """Return our error for a connection in the middle of something else."""
    return HandleError(
        "The connection is busy with another statement, such as a COPY or a stream, so nothing can be enqueued on it.",
        "Enqueue before or after it, or on another connection.",
    )
