"""Where a bulk is written, blocking and awaiting, behind one face."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from pgqueue import PgQueue

PLACES = tuple(
    f"{way} {kind}" for way in ("blocking", "awaiting") for kind in ("own", "transaction", "autocommit", "block")
)


class Place:
    """A place to write to.

    Attributes:
        connection: The caller's; None: it is our own.
        is_async: Whether it is awaited.
        commits: Whether a bulk is committed when the call returns.
    """

    def __init__(self, pgq: PgQueue[None], connection: Any, *, is_async: bool, commits: bool) -> None:
        self.connection = connection
        self.is_async = is_async
        self.commits = commits
        self._pgq = pgq

    @property
    def queue(self) -> Any:
        """The queue here."""
        return self._pgq if self.connection is None else self._pgq.using(self.connection)

    async def write(self, jobs: Any, **options: Any) -> Any:
        """Enqueue a bulk."""
        return (
            await self.queue.aenqueue_many(jobs, **options)
            if self.is_async
            else self.queue.enqueue_many(jobs, **options)
        )

    async def count(self) -> int:
        """Return how many jobs are seen from here; the transaction must be usable."""
        cursor = self.connection.execute("select count(*) from pgqueue.job")
        row = await (await cursor).fetchone() if self.is_async else cursor.fetchone()
        return int(row[0])


@asynccontextmanager
async def open_place(name: str, pgq: PgQueue[None], dsn: str) -> AsyncIterator[Place]:
    """Open a place; what is written in a transaction is committed at the end."""
    way, kind = name.split(" ")
    is_async, commits = way == "awaiting", kind in ("own", "autocommit")
    if kind == "own":
        yield Place(pgq, None, is_async=is_async, commits=commits)
        await pgq.aclose()
    elif is_async:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=kind != "transaction") as one:
            if kind == "block":
                async with one.transaction():
                    yield Place(pgq, one, is_async=is_async, commits=commits)
            else:
                yield Place(pgq, one, is_async=is_async, commits=commits)
    else:
        with psycopg.connect(dsn, autocommit=kind != "transaction") as other:
            if kind == "block":
                with other.transaction():
                    yield Place(pgq, other, is_async=is_async, commits=commits)
            else:
                yield Place(pgq, other, is_async=is_async, commits=commits)
