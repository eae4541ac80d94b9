"""Where enqueue ends: one statement, on the caller's connection or on one of our pools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import psycopg
from anyio import to_thread
from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.rows import tuple_row
from psycopg_pool import PoolTimeout

from pgqueue.model.errors import InvalidPayload
from pgqueue.model.job import JobSpec
from pgqueue.model.options import JobOptions, as_json
from pgqueue.postgres.callers import async_connection, sync_connection
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import explain
from pgqueue.postgres.literals import numbers, texts
from pgqueue.postgres.pools import Pools
from pgqueue.postgres.statements import statement
from pgqueue.tasks import NO_HANDLE


class PostgresProducer:
    """Writes jobs. See ``backend.ProducerBackend``.

    Args:
        schema: Where the jobs are.
        settings: Asked when a pool is opened: a caller with a connection of its own needs no DSN.
    """

    def __init__(self, schema: str, settings: Callable[[], Settings]) -> None:
        self._schema = schema
        self._pools = Pools(settings)

    def enqueue(self, handle: object, specs: Sequence[JobSpec[Any]]) -> list[str]:
        """Write jobs in the handle's transaction, or in one of our own; return their ids in order."""
        if not specs:
            return []
        if handle is not NO_HANDLE:
            return self._write(sync_connection(handle), specs)
        try:
            with self._pools.sync().connection() as connection:
                return self._write(connection, specs)
        except PoolTimeout as error:
            raise self._pools.cause() from error
        except psycopg.OperationalError as error:
            raise explain(error, self._schema, broken=True) or error from error

    async def aenqueue(self, handle: object, specs: Sequence[JobSpec[Any]]) -> list[str]:
        """Write jobs in the handle's transaction, or in one of our own; return their ids in order."""
        if not specs:
            return []
        if handle is not NO_HANDLE:
            return await self._awrite(await async_connection(handle), specs)
        try:
            async with (await self._pools.loop()).connection() as connection:
                return await self._awrite(connection, specs)
        except PoolTimeout as error:
            raise await to_thread.run_sync(self._pools.cause) from error
        except psycopg.OperationalError as error:
            raise explain(error, self._schema, broken=True) or error from error

    def close(self) -> None:
        """Close the process's pool."""
        self._pools.close()

    async def aclose(self) -> None:
        """Close the event loop's pool."""
        await self._pools.aclose()

    # The cursor is made by class, because the caller may have set a row or cursor factory; nothing is prepared, because
    # the connection and its prepared statements are the caller's.

    def _write(self, connection: Connection[Any], specs: Sequence[JobSpec[Any]]) -> list[str]:
        cursor = Cursor(connection, row_factory=tuple_row)
        with self._explained(connection):
            cursor.execute(statement("jobs/enqueue", self._schema), parameters(specs), prepare=False)
            return [job_id for (job_id,) in cursor.fetchall()]

    async def _awrite(self, connection: AsyncConnection[Any], specs: Sequence[JobSpec[Any]]) -> list[str]:
        cursor = AsyncCursor(connection, row_factory=tuple_row)
        with self._explained(connection):
            await cursor.execute(statement("jobs/enqueue", self._schema), parameters(specs), prepare=False)
            return [job_id for (job_id,) in await cursor.fetchall()]

    @contextmanager
    def _explained(self, connection: Connection[Any] | AsyncConnection[Any]) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explain(error, self._schema, broken=connection.broken) or error from error
        except UnicodeEncodeError as error:
            raise InvalidPayload(
                f"The connection's client_encoding {error.encoding} lacks a character of the job ({error.reason}).",
                "Connect with client_encoding=utf8.",
            ) from None


def parameters(specs: Sequence[JobSpec[Any]]) -> dict[str, str]:
    """Return the parallel arrays of sql/jobs/enqueue.sql."""
    options = [spec.options for spec in specs]
    return {
        "queue": texts(o.queue for o in options),
        "task": texts(spec.task for spec in specs),
        "args": texts(spec.args for spec in specs),
        "priority": _or_null(o.priority for o in options),
        "delay": _or_null(o.delay for o in options),
        "run_at": texts(None if o.run_at is None else o.run_at.isoformat() for o in options),
        "max_retries": _or_null(o.max_retries for o in options),
        "timeout_ms": _or_null(o.timeout and ceil(o.timeout * 1000) for o in options),
        "more": texts(_more(o) for o in options),
    }


def _or_null(values: Iterable[float | None]) -> str:
    return numbers("NULL" if value is None else value for value in values)


def _more(options: JobOptions) -> str | None:
    more = {
        name: value
        for name, value in (
            ("headers", options.headers and dict(options.headers)),
            ("tags", options.tags and list(options.tags)),
        )
        if value
    }
    return as_json(more) if more else None
