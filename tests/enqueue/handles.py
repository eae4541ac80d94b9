"""Every kind of handle behind one face, so that one test states a promise for all of them.

A sync handle is driven from the same coroutine; nothing else runs beside it. How each is opened stands in openers.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import text

from pgqueue import Job, JobSpec, PgQueue, Task

Jobs = Iterable[JobSpec[Any]] | AsyncIterable[JobSpec[Any]]


class Handle(ABC):
    """A caller's transaction.

    Args:
        given: What is passed to ``using``.
        bind: Which of its databases is meant.
    """

    is_async = False

    def __init__(self, given: Any, bind: Any = None) -> None:
        self.given = given
        self.bind = bind

    async def enqueue(self, task: Task[..., Any], *args: Any, **options: Any) -> Job[Any]:
        """Enqueue a call in this transaction."""
        await self.begin()
        chosen: Any = task.using(self.given, bind=self.bind, **options)
        job: Job[Any] = await chosen.aenqueue(*args) if self.is_async else chosen.enqueue(*args)
        return job

    async def enqueue_many(self, pgq: PgQueue[None], jobs: Jobs, **options: Any) -> Any:
        """Enqueue several calls in this transaction."""
        await self.begin()
        chosen: Any = pgq.using(self.given, bind=self.bind)
        return await chosen.aenqueue_many(jobs, **options) if self.is_async else chosen.enqueue_many(jobs, **options)

    async def enqueue_bound(self, pgq: PgQueue[None], task: Task[..., Any], *args: Any) -> Job[Any]:
        """Enqueue a call without naming the handle, inside ``pgq.bind``."""
        await self.begin()
        with pgq.bind(self.given, bind=self.bind):
            return await task.aenqueue(*args) if self.is_async else task.enqueue(*args)

    async def begin(self) -> None:  # noqa: B027 - most begin with their first statement
        """Begin, if there is no transaction."""

    async def settle(self, *, committed: bool) -> None:
        """Commit or roll back."""
        await (self.commit() if committed else self.rollback())

    async def invalidate(self) -> None:  # noqa: B027 - only some keep a lost connection
        """Tell the driver that the connection is gone, so that closing it is no error."""

    @abstractmethod
    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute SQL in this transaction and return its rows."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit."""

    @abstractmethod
    async def rollback(self) -> None:
        """Roll back."""

    @abstractmethod
    def savepoint(self) -> Any:
        """Open a savepoint; an exception inside rolls back to it."""

    @abstractmethod
    async def state(self) -> Any:
        """Return what the caller may have set on it."""


class PsycopgHandle(Handle):
    """psycopg's connection, or a cursor of it."""

    def __init__(self, connection: Any, given: Any) -> None:
        super().__init__(given)
        self.connection = connection

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement)
        return cursor.fetchall() if cursor.description else []

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        with self.connection.transaction():
            yield

    async def state(self) -> Any:
        one = self.connection
        return one.autocommit, one.isolation_level, one.row_factory, one.cursor_factory, one.prepare_threshold


class AsyncPsycopgHandle(PsycopgHandle):
    """psycopg's asynchronous connection, or a cursor of it."""

    is_async = True

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = await self.connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []

    async def commit(self) -> None:
        await self.connection.commit()

    async def rollback(self) -> None:
        await self.connection.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            yield


class SqlAlchemyHandle(Handle):
    """A connection or session of SQLAlchemy, on any driver."""

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        result = self.given.execute(text(statement), **self._which())
        return [tuple(row) for row in result] if result.returns_rows else []

    async def commit(self) -> None:
        self.given.commit()

    async def rollback(self) -> None:
        self.given.rollback()

    async def invalidate(self) -> None:
        self._session().invalidate()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        with self.given.begin_nested():
            yield

    async def state(self) -> Any:
        one = self.given.connection(**self._which()) if hasattr(self.given, "get_bind") else self.given
        return _core_state(one)

    def _session(self) -> Any:
        """Return the session of a scoped one."""
        return self.given.registry() if hasattr(self.given, "registry") else self.given

    def _which(self) -> dict[str, Any]:
        """Return how a session is asked for the database meant, as SQLAlchemy has it."""
        if self.bind is None:
            return {}
        engine = getattr(self.bind, "sync_engine", self.bind)
        return {"bind_arguments": {"mapper": self.bind} if isinstance(self.bind, type) else {"bind": engine}}


class AsyncSqlAlchemyHandle(SqlAlchemyHandle):
    """An asynchronous connection or session of SQLAlchemy, on any driver."""

    is_async = True

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        result = await self.given.execute(text(statement), **self._which())
        return [tuple(row) for row in result] if result.returns_rows else []

    async def commit(self) -> None:
        await self.given.commit()

    async def rollback(self) -> None:
        await self.given.rollback()

    async def invalidate(self) -> None:
        await self._session().invalidate()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self.given.begin_nested():
            yield

    async def state(self) -> Any:
        one = await self.given.connection(**self._which()) if hasattr(self.given, "get_bind") else self.given
        return await one.run_sync(_core_state)


class DbapiHandle(Handle):
    """A connection or cursor of psycopg2 or pg8000."""

    def __init__(self, connection: Any, given: Any) -> None:
        super().__init__(given)
        self.connection = connection

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.execute("savepoint of_the_caller")
        try:
            yield
        except BaseException:
            await self.execute("rollback to savepoint of_the_caller")
            raise
        finally:
            await self.execute("release savepoint of_the_caller")

    async def state(self) -> Any:
        one = self.connection
        return one.autocommit, getattr(one, "isolation_level", None), getattr(one, "cursor_factory", None)


class AsyncpgHandle(Handle):
    """A connection of asyncpg; it begins by itself, as the others do, unless it is to autocommit."""

    is_async = True

    def __init__(self, given: Any, *, autocommits: bool = False) -> None:
        super().__init__(given)
        self._autocommits = autocommits
        self._transaction: Any = None

    async def begin(self) -> None:
        if self._transaction is None and not self._autocommits:
            self._transaction = self.given.transaction()
            await self._transaction.start()

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        await self.begin()
        return [tuple(row) for row in await self.given.fetch(statement)]

    async def commit(self) -> None:
        transaction, self._transaction = self._transaction, None
        await transaction.commit()

    async def rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        await transaction.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.begin()
        async with self.given.transaction():
            yield

    async def state(self) -> Any:
        return self.given.get_settings().TimeZone, self.given.is_in_transaction()


class DjangoHandle(Handle):
    """Django's connection, in its ``atomic`` unless it is to autocommit."""

    def __init__(self, given: Any, *, autocommits: bool = False) -> None:
        super().__init__(given)
        self._autocommits = autocommits
        self._atomic: AbstractContextManager[None] | None = None

    async def begin(self) -> None:
        if self._atomic is None and not self._autocommits:
            self._atomic = self._block()
            self._atomic.__enter__()

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        await self.begin()
        with self.given.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    async def commit(self) -> None:
        self._end()

    async def rollback(self) -> None:
        self.given.set_rollback(True)
        self._end()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.begin()
        with self._block():
            yield

    async def close(self) -> None:
        """Leave the block, if one is open."""
        if self._atomic is not None:
            await self.rollback()

    async def state(self) -> Any:
        return self.given.get_autocommit(), self.given.isolation_level, self.given.needs_rollback

    def _end(self) -> None:
        atomic, self._atomic = self._atomic, None
        assert atomic is not None
        atomic.__exit__(None, None, None)

    @contextmanager
    def _block(self) -> Iterator[None]:
        from django.db.transaction import atomic

        with atomic(using=self.given.alias):
            yield


def _core_state(connection: Any) -> Any:
    options = dict(connection.get_execution_options())
    return connection.dialect.driver, connection.get_isolation_level(), connection.default_isolation_level, options
