"""Connections of our own: links that come back after a loss."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow, tuple_row

from pgqueue.postgres.explain import explain
from pgqueue.postgres.statements import statement

# Startup options of the connections that run hot statements. With a snapshot held somewhere the statistics of a lane lie,
# and a plan that flips to a scan costs 28 times as much (docs/decisions/0001-lanes.md).
PINNED = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "default_transaction_isolation": r"read\ committed",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
# A claim, a promotion, a rescue or a beat that a crash of the server undoes is done again, and a finish, which is durable,
# flushes what came before it (docs/decisions/0008-durable-where-it-counts.md).
HASTY = {**PINNED, "synchronous_commit": "off"}
UNPINNED = {"default_transaction_isolation": r"read\ committed"}
_REACHABLE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the jobs are."""

    dsn: str
    schema: str

    def parameters(self, purpose: str, options: Mapping[str, str]) -> dict[str, Any]:
        """Return psycopg's connection parameters for one purpose; it shows as application_name."""
        given = conninfo_to_dict(self.dsn)
        # UTC, for in other zones the first and the last hours of the calendar cannot be read by Python
        pinned = " ".join(f"-c {name}={value}" for name, value in {"timezone": "UTC", **options}.items())
        return {
            **_REACHABLE,
            **given,
            "application_name": f"pgqueue {purpose}",
            "options": f"{given.get('options') or ''} {pinned}".strip(),
            "autocommit": True,
        }


def cut(connection: psycopg.Connection[TupleRow] | psycopg.AsyncConnection[TupleRow] | None) -> None:
    """Shut down a connection's socket. Cancelling would wait for a server that does not answer; this does not."""
    if connection is not None and not connection.closed:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)


class Link:
    """One asynchronous connection for one purpose, made when needed and again after a loss.

    Attributes:
        epoch: Counts connections made; another value than before means that session state is gone.
    """

    def __init__(self, settings: Settings, purpose: str, options: Mapping[str, str] = PINNED) -> None:
        self._settings = settings
        self._parameters = settings.parameters(purpose, options)
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._connecting = asyncio.Lock()
        self.epoch = 0

    async def run(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[TupleRow]:
        """Execute sql/<name>.sql in its own transaction and return its rows.

        Raises:
            BackendUnavailable: The connection cannot be made, or broke; the next call makes a new one.
            SchemaError: The schema is missing.
        """
        connection: psycopg.AsyncConnection[TupleRow] | None = None
        try:
            connection = await self.connection()
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement(name, self._settings.schema), parameters, prepare=True)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            reason = explain(error, self._settings.schema, broken=connection is not None and connection.closed)
            if reason is None:
                raise
            raise reason from error

    async def connection(self) -> psycopg.AsyncConnection[TupleRow]:
        """Return the open connection, made anew after a loss."""
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(**self._parameters, row_factory=tuple_row)
                self.epoch += 1
            return self._connection

    def sever(self) -> None:
        """Cut the connection: a run that waits for an answer gets an error instead."""
        cut(self._connection)

    async def close(self) -> None:
        """Close the connection; a later run makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
