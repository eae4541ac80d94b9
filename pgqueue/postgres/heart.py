"""The heartbeat's connection: blocking, because it is used from a thread that no handler can hold up."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow, tuple_row

from pgqueue.backend import Pulse
from pgqueue.model.errors import BackendUnavailable
from pgqueue.postgres.connections import HASTY, Settings, cut
from pgqueue.postgres.explain import explain
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
        try:
            row = (
                self._open()
                .execute(
                    statement("worker/beat", self._settings.schema),
                    {"worker": worker},
                    prepare=True,
                    binary=True,
                )
                .fetchone()
            )
        except psycopg.Error as error:
            self.close()
            raise explain(error, self._settings.schema, broken=True) or error from error
        if row is None:
            raise BackendUnavailable("The heartbeat got no answer.", "It is tried again.")
        alive, leases, cancelled = row
        return Pulse(alive, frozenset(leases), frozenset((job_id, run) for job_id, run in cancelled))

    def close(self) -> None:
        """Close the connection; the next beat makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def sever(self) -> None:
        """Cut the connection: a beat that waits for an answer gets an error instead."""
        cut(self._connection)

    def _open(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            parameters = self._settings.parameters("heartbeat", {**HASTY, "statement_timeout": "5s"})
            self._connection = psycopg.Connection.connect(**parameters, row_factory=tuple_row)
        return self._connection
