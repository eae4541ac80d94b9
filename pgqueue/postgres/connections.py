"""Connections of our own: links that come back after a loss, behind a pooler or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from anyio import to_thread
from psycopg import AsyncConnection, Connection, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow, tuple_row

from pgqueue.model.errors import BackendUnavailable, ConfigurationError
from pgqueue.postgres import pooler
from pgqueue.postgres.explain import explain
from pgqueue.postgres.pooler import Pooling, cut
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
PATIENCE = 35.0  # seconds for an answer where the server cannot be told statement_timeout
_SET = "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as wanted(name, value)"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the jobs are."""

    dsn: str
    schema: str
    direct_dsn: str | None = None

    def parameters(self, purpose: str, options: Mapping[str, str]) -> dict[str, Any]:
        """Return psycopg's connection parameters for one purpose; it shows as application_name."""
        pinned = " ".join(f"-c {name}={value}" for name, value in _with_zone(options).items())
        bare = self.bare(purpose)
        return {**bare, "options": f"{bare.get('options') or ''} {pinned}".strip()}

    def bare(self, purpose: str) -> dict[str, Any]:
        """Return the parameters for a pooler that refuses ours: those of the DSN alone."""
        given = conninfo_to_dict(self.dsn)
        return {**_REACHABLE, **given, "application_name": f"pgqueue {purpose}", "autocommit": True}

    def pooling(self) -> Pooling:
        """Return what stands between us and the server; it is looked for once in a process, which takes a moment.

        Raises:
            ConfigurationError: A pooler that makes transactions impossible.
            psycopg.Error: The database cannot be reached.
        """
        return pooler.find(self.dsn, self.parameters("probe", UNPINNED))

    @property
    def only_polls(self) -> bool:
        """Whether nobody can notify us: behind a pooler that lends a server for a transaction, with no way around it."""
        return pooler.known(self.dsn) == "transaction" and self.direct_dsn is None

    @property
    def has_session(self) -> bool:
        """Whether a connection keeps its server, and with it what was set or locked there."""
        return pooler.known(self.dsn) != "transaction"

    @property
    def around(self) -> Settings:
        """The way around a pooler that lends a server for a transaction, where there is one."""
        if self.direct_dsn is None or self.has_session:
            return self
        return Settings(self.direct_dsn, self.schema)


def open_session(settings: Settings, purpose: str, options: Mapping[str, str]) -> Connection[TupleRow]:
    """Connect for hot statements, with what the connection allows: options, settings, or neither."""
    pooling = settings.pooling()
    if pooling == "direct":
        return Connection.connect(**settings.parameters(purpose, options), row_factory=tuple_row)
    connection = Connection.connect(**settings.bare(purpose), prepare_threshold=_threshold(pooling))
    if pooling == "session":
        connection.execute(_SET, _settings(options), prepare=False)
    return connection


async def aopen_session(settings: Settings, purpose: str, options: Mapping[str, str]) -> AsyncConnection[TupleRow]:
    """Connect as ``open_session`` does."""
    known = pooler.known(settings.dsn)
    if known is not None:
        pooling = known
    else:
        pooling = await to_thread.run_sync(settings.pooling, abandon_on_cancel=True)
    if pooling == "direct":
        return await AsyncConnection.connect(**settings.parameters(purpose, options), row_factory=tuple_row)
    connection = await AsyncConnection.connect(**settings.bare(purpose), prepare_threshold=_threshold(pooling))
    try:
        if pooling == "session":
            await connection.execute(_SET, _settings(options), prepare=False)
    except BaseException:
        await connection.close()
        raise
    return connection


def check_way_around(settings: Settings) -> None:
    """See that PGQUEUE_DIRECT_DSN leads to the database behind the pooler, and past every pooler.

    Raises:
        ConfigurationError: It does not.
        psycopg.Error: One of the two cannot be reached.
    """
    found = []
    for place in (settings, settings.around):
        with pooler.connect(place.parameters("listen", UNPINNED)) as connection:
            found.append(connection.execute(statement("doctor/place", place.schema)).fetchone())
    if found[0] != found[1]:
        raise ConfigurationError(
            "PGQUEUE_DIRECT_DSN leads to another database than the DSN does.",
            "Let it name the same one, without the pooler.",
        )
    if settings.around.pooling() == "transaction":
        raise ConfigurationError(
            "PGQUEUE_DIRECT_DSN leads to a pooler that lends a server for a transaction.", "Name the server itself."
        )


def contradicted(settings: Settings, error: psycopg.Error) -> bool:
    """Whether an error shows that a pooler came or changed since it was looked for; then it is looked for again."""
    changed = isinstance(error, errors.InvalidSqlStatementName | errors.DuplicatePreparedStatement)
    changed = changed or pooler.is_refusal(error)
    if changed:
        pooler.forget(settings.dsn)
    return changed


def _with_zone(options: Mapping[str, str]) -> dict[str, str]:
    """Add UTC: in other zones the first and the last hours of the calendar cannot be read by Python."""
    return {"timezone": "UTC", **options}


def _settings(options: Mapping[str, str]) -> tuple[list[str], list[str]]:
    chosen = _with_zone(options)
    return list(chosen), [value.replace("\\", "") for value in chosen.values()]


def _threshold(pooling: Pooling) -> int | None:
    """Return psycopg's prepare_threshold; None: a statement is not prepared, for the next one may meet another server."""
    return None if pooling == "transaction" else 5


class Link:
    """One asynchronous connection for one purpose, made when needed and again after a loss.

    Attributes:
        epoch: Counts connections made; another value than before means that session state is gone.
    """

    def __init__(self, settings: Settings, purpose: str, options: Mapping[str, str] = PINNED) -> None:
        self._settings = settings
        self._purpose = purpose
        self._options = options
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._connecting = asyncio.Lock()
        self._is_shut = False
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
            async with asyncio.timeout(None if connection.prepare_threshold is not None else PATIENCE):
                cursor = connection.cursor(binary=True)
                await cursor.execute(statement(name, self._settings.schema), parameters, prepare=True)
                return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            broken = connection is not None and connection.closed
            if contradicted(self._settings, error):
                await self.close()
                broken = True
            reason = explain(error, self._settings.schema, broken=broken)
            if reason is None:
                raise
            raise reason from error
        except TimeoutError as error:
            await self.close()
            raise BackendUnavailable(
                f"The pooler gave no answer within {PATIENCE:g} s.", "Let its pool have more servers for the workers."
            ) from error

    async def connection(self) -> psycopg.AsyncConnection[TupleRow]:
        """Return the open connection, made anew after a loss."""
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await aopen_session(self._settings, self._purpose, self._options)
                self.epoch += 1
            if self._is_shut:  # meanwhile, or before
                await self.close()
                raise BackendUnavailable("The worker has stopped, and its connections are closed.", "Start another.")
            return self._connection

    def sever(self) -> None:
        """Cut the connection: a run that waits for an answer gets an error instead."""
        cut(self._connection)

    async def close(self) -> None:
        """Close the connection; a later run makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def shut(self) -> None:
        """Close the connection for good, also one that is being made."""
        self._is_shut = True
        await self.close()
