"""What tests read of the database, and how they let its time go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow, tuple_row

from pgqueue.backend import AttemptRecord, JobRecord
from pgqueue.postgres.callers import sync_carrier
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.explain import explain
from pgqueue.postgres.literals import texts
from pgqueue.postgres.pooler import connect
from pgqueue.postgres.statements import statement
from pgqueue.postgres.steps import Fetch
from pgqueue.tasks import Handle

Ask: TypeAlias = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
_ANYTHING = {"id": None, "state": None, "queue": None, "task": None, "limit": None}


class Storage:
    """The jobs as one connection sees them.

    Args:
        ask: Executes sql/<name>.sql and returns its rows.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @classmethod
    def at(cls, settings: Settings) -> Storage:
        """Return what is committed, on a short connection for each statement."""

        def ask(name: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
            with connected(settings) as connection:
                return execute(connection, settings.schema, name, parameters)

        return cls(ask)

    @classmethod
    @contextmanager
    def held(cls, settings: Settings) -> Iterator[Storage]:
        """Return what is committed, on one connection for the length of a ``with`` block."""
        with connected(settings) as connection:
            yield cls(lambda name, parameters: execute(connection, settings.schema, name, parameters))

    @classmethod
    def on(cls, handle: object, schema: str) -> Storage:
        """Return what the transaction of a caller's connection or session sees.

        Raises:
            HandleError: The handle is asynchronous, unknown, closed, or not on PostgreSQL.
        """
        sync_carrier(Handle(handle), schema)  # a wrong one fails here, and not at the first assertion

        def ask(name: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
            rows: Sequence[Sequence[Any]] = sync_carrier(Handle(handle), schema).do(Fetch(name, parameters))
            return rows

        return cls(ask)

    def jobs(self) -> list[JobRecord]:
        """List all jobs, oldest first."""
        return [_parsed(JobRecord(*row)) for row in reversed(self._ask("jobs/list", _ANYTHING))]

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """List a job's ended runs, oldest first."""
        return [AttemptRecord(*row) for row in self._ask("jobs/attempts", {"id": job_id})]

    def now(self) -> datetime:
        """Return the database's time."""
        now: datetime = self._ask("testing/now", {})[0][0]
        return now

    def busy(self) -> dict[str, int]:
        """Return how many jobs of each queue a worker would still run now, or runs."""
        return {str(row[0]): int(row[1]) for row in self._ask("testing/busy", {})}

    def next_due(self, tasks: Iterable[str]) -> float | None:
        """Return the seconds until the next job of these tasks is due that no pause holds up."""
        due_in: float | None = self._ask("testing/next_due", {"tasks": texts(tasks)})[0][0]
        return due_in

    def travel(self, by: float) -> int:
        """Let so many seconds pass for what waits; return how many jobs are due earlier."""
        return int(self._ask("testing/travel", {"by": by})[0][0])


@contextmanager
def connected(settings: Settings) -> Iterator[Connection[TupleRow]]:
    """Give a connection of our own.

    Raises:
        BackendUnavailable: The database cannot be reached.
    """
    try:
        connection = connect(settings.parameters("testing", UNPINNED))
    except psycopg.Error as error:
        raise explain(error, settings.schema, broken=True) or error from error
    with connection:
        yield connection


def execute(connection: Connection[Any], schema: str, name: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
    """Execute sql/<name>.sql and return its rows.

    Raises:
        SchemaError: The database is not migrated.
    """
    cursor = Cursor(connection, row_factory=tuple_row)
    try:
        return cursor.execute(statement(name, schema), parameters, prepare=False).fetchall()
    except psycopg.Error as error:
        raise explain(error, schema, broken=connection.broken) or error from error


def _parsed(job: JobRecord) -> JobRecord:
    """Return a job whose JSON is read; some drivers, such as Django's, leave it as text."""
    read = {n: json.loads(v) for n in ("args", "headers") if isinstance(v := getattr(job, n), str)}
    return replace(job, **read) if read else job
