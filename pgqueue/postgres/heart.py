"""The heartbeat's connection: blocking, because it is used from a thread that no handler can hold up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from pgqueue.backend import Answer, Outcome, Pulse
from pgqueue.model.errors import BackendUnavailable
from pgqueue.postgres.connections import HASTY, Settings, contradicted, open_session
from pgqueue.postgres.explain import explain
from pgqueue.postgres.outcomes import answers, runs
from pgqueue.postgres.pooler import cut
from pgqueue.postgres.statements import statement


class PostgresHeart:
    """See ``backend.Heart``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[TupleRow] | None = None

    def beat(self, worker: int) -> Pulse:
        """Say that the worker lives; learn what the database knows of it.

        Raises:
            BackendUnavailable: The connection cannot be made, or broke.
        """
        alive, leases, cancelled = self._run("worker/beat", {"worker": worker})
        return Pulse(alive, frozenset(leases), frozenset((job_id, run) for job_id, run in cancelled))

    def give_back(self, worker: int, outcomes: Sequence[Outcome], now: float) -> list[Answer]:
        """Record outcomes while the event loop is held up.

        Raises:
            BackendUnavailable: The connection cannot be made, or broke.
        """
        row = self._run("lease/finish", {**runs(worker, outcomes, now), "empty": "{}"})
        return answers(outcomes, *row)

    def close(self) -> None:
        """Close the connection; the next beat makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def sever(self) -> None:
        """Cut the connection: a beat that waits for an answer gets an error instead."""
        cut(self._connection)

    def _run(self, name: str, parameters: Mapping[str, Any]) -> TupleRow:
        """Execute sql/<name>.sql, which answers one row."""
        text = statement(name, self._settings.schema)
        try:
            row = self._open().execute(text, parameters, prepare=True, binary=True).fetchone()
        except psycopg.Error as error:
            contradicted(self._settings, error)
            self.close()
            raise explain(error, self._settings.schema, broken=True) or error from error
        if row is None:
            raise BackendUnavailable("The heartbeat got no answer.", "It is tried again.")
        return row

    def _open(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = open_session(self._settings, "heartbeat", {**HASTY, "statement_timeout": "5s"})
        return self._connection
