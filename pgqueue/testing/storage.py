"""What tests read of the database, and how they let its time go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow, tuple_row

from pgqueue.backend import AttemptRecord, JobRecord
from pgqueue.postgres.callers import sync_connection
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.explain import explain
from pgqueue.postgres.literals import texts
from pgqueue.postgres.statements import statement

Connect: TypeAlias = Callable[[], AbstractContextManager[Connection[Any]]]


class Storage:
    """The jobs as one connection sees them.

    Args:
        schema: Where they are.
        connect: Gives the connection for one statement.
    """

    def __init__(self, schema: str, connect: Connect) -> None:
        self._schema = schema
        self._connect = connect

    @classmethod
    def at(cls, settings: Settings) -> Storage:
        """Return what is committed, on a short connection for each statement."""
        return cls(settings.schema, lambda: psycopg.connect(**settings.parameters("testing", UNPINNED)))

    @classmethod
    def on(cls, handle: object, schema: str) -> Storage:
        """Return what the transaction of a caller's connection or session sees.

        Raises:
            HandleError: The handle is asynchronous, unknown, closed, or runs on another driver.
        """
        sync_connection(handle)  # a wrong one fails here, and not at the first assertion
        return cls(schema, lambda: nullcontext(sync_connection(handle)))

    @contextmanager
    def held(self) -> Iterator[Storage]:
        """Keep one connection for the length of a ``with`` block."""
        with self._explained(), self._connect() as connection:
            yield Storage(self._schema, lambda: nullcontext(connection))

    def jobs(self) -> list[JobRecord]:
        """List all jobs, oldest first."""
        anything = {"id": None, "state": None, "queue": None, "task": None, "limit": None}
        return [JobRecord(*row) for row in reversed(self._run("jobs/list", anything))]

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """List a job's ended runs, oldest first."""
        return [AttemptRecord(*row) for row in self._run("jobs/attempts", {"id": job_id})]

    def now(self) -> datetime:
        """Return the database's time."""
        now: datetime = self._run("testing/now")[0][0]
        return now

    def busy(self) -> dict[str, int]:
        """Return how many jobs of each queue a worker would still run now, or runs."""
        return dict(self._run("testing/busy"))

    def next_due(self, tasks: Iterable[str]) -> float | None:
        """Return the seconds until the next job of these tasks is due that no pause holds up."""
        due_in: float | None = self._run("testing/next_due", {"tasks": texts(tasks)})[0][0]
        return due_in

    def travel(self, by: float) -> int:
        """Let so many seconds pass for what waits; return how many jobs are due earlier."""
        return int(self._run("testing/travel", {"by": by})[0][0])

    def _run(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[TupleRow]:
        with self._explained(), self._connect() as connection:
            cursor = Cursor(connection, row_factory=tuple_row)  # by class: a caller may have set another factory
            cursor.execute(statement(name, self._schema), parameters, prepare=False)
            return cursor.fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explain(error, self._schema, broken=False) or error from error
