"""What the tests of the worker share: quick timing, what happened as events and as rows, threads' ends."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg
from anyio import to_thread

from pgqueue.telemetry.events import Event, Events
from pgqueue.worker.supervisor import Worker

STATE = "select state = %s from pgqueue.all_jobs where id = %s"
ENDED = "select count(*) = %s from pgqueue.job_history where state = %s"
PATIENCE = 10.0
LISTENING = """
    select true from pg_stat_activity
    where datname = current_database() and application_name = 'pgqueue listen' and state = 'idle' and query ilike 'listen %%'
"""


def timed(worker: Worker, **changes: Any) -> Worker:
    """Return a worker that was not started yet with another timing."""
    worker.state.timing = replace(worker.state.timing, **changes)
    return worker


class Heard:
    """The events of an application, and waiting for one."""

    def __init__(self, events: Events) -> None:
        self._seen: list[Event] = []
        self._more = asyncio.Event()
        events.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self._seen.append(event)
        self._more.set()

    def named(self, name: str) -> list[Mapping[str, Any]]:
        """Return the facts of all events of this name so far."""
        return [event.fields for event in self._seen if event.name == name]

    async def wait(self, name: str, count: int = 1) -> list[Mapping[str, Any]]:
        """Wait until this many events of a name were heard; return them."""
        async with asyncio.timeout(PATIENCE):
            while len(self.named(name)) < count:
                self._more.clear()
                await self._more.wait()
        return self.named(name)


class ZombieWatch:
    """Every number that a worker's count of zombie threads takes."""

    def __init__(self, worker: Worker) -> None:
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        threads = worker.slots.threads
        count = threads.count

        def noticed(change: int) -> None:
            count(change)
            self._numbers.put(threads.zombies)

        threads.count = noticed  # type: ignore[method-assign]

    async def next(self) -> int:
        """Wait for the next number."""
        return await to_thread.run_sync(lambda: self._numbers.get(timeout=PATIENCE))


def runs_of(database: psycopg.Connection, job: object) -> list[tuple[int, int, str]]:
    """Return (run, attempt, outcome) of each recorded run of a job."""
    rows = database.execute(
        "select run, attempt, outcome from pgqueue.all_attempts where job_id = %s order by run", (job,)
    )
    return [(run, attempt, outcome) for run, attempt, outcome in rows]


def errors_of(database: psycopg.Connection, job: object) -> list[tuple[str, str]]:
    """Return (type, message) of the error of each recorded run."""
    rows = database.execute("select error_type, error from pgqueue.all_attempts where job_id = %s order by run", (job,))
    return [(kind, message) for kind, message in rows]


def row_of(database: psycopg.Connection, job: object) -> dict[str, Any]:
    """Return a job as the view all_jobs shows it."""
    cursor = database.execute("select * from pgqueue.all_jobs where id = %s", (job,))
    assert cursor.description is not None
    row = cursor.fetchone()
    assert row is not None
    return dict(zip([column.name for column in cursor.description], row, strict=True))
