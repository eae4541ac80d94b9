"""Every kind of handle behind one face, so that one test states a promise for all of them.

A sync handle is driven from the same coroutine; nothing else runs beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgqueue import Job, JobSpec, PgQueue, Task

KINDS = (
    "psycopg connection",
    "psycopg async connection",
    "session",
    "async session",
    "core connection",
    "async core connection",
)


def engine_url(dsn: str) -> str:
    """Return the DSN as SQLAlchemy writes it, on psycopg 3."""
    return dsn.replace("postgresql://", "postgresql+psycopg://", 1)


class Handle:
    """A caller's transaction.

    Args:
        given: What is passed to ``using``.
        is_async: Whether it needs ``aenqueue``.
    """

    def __init__(self, given: Any, *, is_async: bool) -> None:
        self.given = given
        self.is_async = is_async

    async def enqueue(self, task: Task[..., Any], *args: Any, **options: Any) -> Job[Any]:
        """Enqueue a call in this transaction."""
        chosen: Any = task.using(self.given, **options)
        job: Job[Any] = await chosen.aenqueue(*args) if self.is_async else chosen.enqueue(*args)
        return job

    async def enqueue_many(self, pgq: PgQueue[None], jobs: Sequence[JobSpec[Any]]) -> list[Job[Any]]:
        """Enqueue several calls in this transaction."""
        chosen: Any = pgq.using(self.given)
        return list(await chosen.aenqueue_many(jobs) if self.is_async else chosen.enqueue_many(jobs))

    async def execute(self, statement: str) -> list[Any]:
        """Execute SQL in this transaction and return its rows."""
        query: Any = text(statement) if hasattr(self.given, "scalar") else statement
        result = self.given.execute(query)
        if self.is_async:
            result = await result
        if isinstance(self.given, psycopg.AsyncConnection):
            return list(await result.fetchall()) if result.description else []
        if isinstance(self.given, psycopg.Connection):
            return list(result.fetchall()) if result.description else []
        return list(result.fetchall()) if result.returns_rows else []

    async def commit(self) -> None:
        """Commit."""
        await self._call("commit")

    async def rollback(self) -> None:
        """Roll back."""
        await self._call("rollback")

    async def invalidate(self) -> None:
        """Tell SQLAlchemy that the connection is gone, so that closing it is no error."""
        if hasattr(self.given, "invalidate"):
            await self._call("invalidate")

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Open a savepoint; an exception inside rolls back to it."""
        nested = (
            self.given.transaction if isinstance(self.given, psycopg.Connection | psycopg.AsyncConnection) else None
        )
        opened: Any = nested() if nested is not None else self.given.begin_nested()
        if self.is_async:
            async with opened:
                yield
        else:
            with opened:
                yield

    async def _call(self, verb: str) -> None:
        answer = getattr(self.given, verb)()
        if self.is_async:
            await answer


def open_handle(kind: str, dsn: str, **psycopg_options: Any) -> AbstractAsyncContextManager[Handle]:
    """Open a handle of this kind on a database."""
    if kind == "psycopg connection":
        return _psycopg(dsn, psycopg_options)
    if kind == "psycopg async connection":
        return _async_psycopg(dsn, psycopg_options)
    return _async_sqlalchemy(kind, dsn) if kind.startswith("async") else _sqlalchemy(kind, dsn)


@asynccontextmanager
async def _psycopg(dsn: str, options: dict[str, Any]) -> AsyncIterator[Handle]:
    connection = psycopg.connect(dsn, **options)
    try:
        yield Handle(connection, is_async=False)
    finally:
        connection.close()


@asynccontextmanager
async def _async_psycopg(dsn: str, options: dict[str, Any]) -> AsyncIterator[Handle]:
    connection = await psycopg.AsyncConnection.connect(dsn, **options)
    try:
        yield Handle(connection, is_async=True)
    finally:
        await connection.close()


@asynccontextmanager
async def _sqlalchemy(kind: str, dsn: str) -> AsyncIterator[Handle]:
    engine = create_engine(engine_url(dsn), poolclass=NullPool)
    try:
        with Session(engine) if kind == "session" else engine.connect() as given:
            yield Handle(given, is_async=False)
    finally:
        engine.dispose()


@asynccontextmanager
async def _async_sqlalchemy(kind: str, dsn: str) -> AsyncIterator[Handle]:
    engine = create_async_engine(engine_url(dsn), poolclass=NullPool)
    chosen: AsyncSession | AsyncConnection = AsyncSession(engine) if kind == "async session" else engine.connect()
    try:
        async with chosen as given:
            yield Handle(given, is_async=True)
    finally:
        await engine.dispose()
