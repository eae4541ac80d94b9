"""A worker without services: the test says what it does and when."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgqueue.backend import Answer, Claim, Outcome, Pulse, Verdict, WorkerInfo
from pgqueue.model.job import ClaimedJob
from pgqueue.postgres import connections, cursor
from pgqueue.postgres.connections import Link, Settings
from pgqueue.postgres.statements import statement
from pgqueue.postgres.store import PostgresWorker
from pgqueue.worker.state import random_id

Row = tuple[Any, ...]


class Hands:
    """A registered worker.

    Attributes:
        store: The storage as this worker sees it.
        id: The worker's id.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = PostgresWorker(settings, time.monotonic)
        self.id = 0

    async def register(self, *queues: str) -> None:
        """Become a worker, or one under a new id."""
        self.id = random_id()
        await self.store.register(WorkerInfo(self.id, "hands", "here", 1, "0", queues or ("default",), 1))

    async def claim(self, limit: int = 50, queue: str = "default") -> Claim:
        """Claim under a new lease."""
        return await self.store.claim(queue, random_id(), limit)

    async def take(self, limit: int = 50, queue: str = "default") -> list[ClaimedJob]:
        """Claim until nothing more is there."""
        jobs: list[ClaimedJob] = []
        while True:
            claim = await self.claim(limit, queue)
            jobs += claim.jobs
            if not claim.more:
                return jobs

    async def finish(
        self,
        jobs: Iterable[ClaimedJob],
        verdict: Verdict = "succeeded",
        *,
        delay: float = 0.0,
        started: bool = True,
        emptied: Collection[int] = (),
    ) -> list[Answer]:
        """Record the same outcome for some jobs."""
        return await self.store.finish(
            [outcome(job, verdict, delay, started=started) for job in jobs], emptied, time.monotonic()
        )

    async def settle(self, jobs: Iterable[ClaimedJob]) -> set[tuple[int, int]]:
        """Ask about runs whose success was answered lost."""
        return await self.store.settle([outcome(job) for job in jobs], time.monotonic())

    def beat(self) -> Pulse:
        """Beat once."""
        heart = self.store.heart()
        try:
            return heart.beat(self.id)
        finally:
            heart.close()

    @asynccontextmanager
    async def transaction(self, purpose: str) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
        """Keep what is done on one of the store's connections (claiming, finishing, moving) open until the end."""
        link: Link = getattr(self.store, f"_{purpose}")
        connection = await link.connection()
        await connection.execute("begin")
        try:
            yield connection
        finally:
            if not connection.closed:
                await connection.execute("commit")


def outcome(job: ClaimedJob, verdict: Verdict = "succeeded", delay: float = 0.0, *, started: bool = True) -> Outcome:
    """Return what a worker reports of a job."""
    return Outcome(job.id, job.run, job.lease, verdict, delay, time.monotonic() if started else None, None)


@asynccontextmanager
async def hands(settings: Settings, *queues: str) -> AsyncIterator[Hands]:
    """Register a worker for the length of the block."""
    worker = Hands(settings)
    await worker.register(*queues)
    try:
        yield worker
    finally:
        await worker.store.close()


@contextmanager
def transaction(dsn: str, isolation: str = "read committed") -> Iterator[psycopg.Connection[TupleRow]]:
    """Open a caller's transaction; it is rolled back unless the test commits."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"set transaction isolation level {isolation}".encode())
        yield connection
        connection.rollback()


def enqueue(connection: psycopg.Connection[TupleRow], count: int = 1, **arguments: object) -> list[int]:
    """Enqueue jobs by the SQL function; return their ids."""
    names = "".join(f", {name} => %({name})s" for name in arguments)
    query = f"select pgqueue.enqueue('work'{names}) from generate_series(1, %(count)s)"
    return [row[0] for row in connection.execute(query.encode(), {**arguments, "count": count})]


def ask(connection: psycopg.Connection[TupleRow], query: str, *parameters: object) -> Any:
    """Return the first column of the first row."""
    row = connection.execute(query.encode(), parameters).fetchone()
    return None if row is None else row[0]


def rows(connection: psycopg.Connection[TupleRow], query: str, *parameters: object) -> list[Row]:
    """Return all rows."""
    return connection.execute(query.encode(), parameters).fetchall()


def ids(jobs: Sequence[ClaimedJob]) -> list[int]:
    """Return the ids of jobs, in order."""
    return [job.id for job in jobs]


def without_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the safety scan out of reach: only the very first read starts at the origin."""
    monkeypatch.setattr(cursor, "SCAN_EVERY", 1e9)


def mutate(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Run one statement with a piece of its text replaced."""

    def mutated(asked: str, schema: str) -> bytes:
        text = statement(asked, schema)
        if asked != name:
            return text
        assert old.encode() in text, f"{name} has no longer: {old}"
        return text.replace(old.encode(), new.encode())

    monkeypatch.setattr(connections, "statement", mutated)
