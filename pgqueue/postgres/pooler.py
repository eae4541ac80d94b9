"""Poolers are found by probing: nobody has to tell, and nothing is believed.

A server tells each connection the number of its process when it connects, and again when it is asked. Between them a pooler
gives numbers of its own, so the two differ. A pooler that lends a server for each transaction is then told from one that
lends it for a session by holding a transaction on a second connection: either that one is lent the first one's server, or
the first one gets another, or others have used it. Rounds differ in what they ask, because a pooler that lends the server
which came back last gives two connections that take turns the same two servers for ever.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import AsyncConnection, Connection, errors
from psycopg.rows import TupleRow

from pgqueue.model.errors import ConfigurationError

Pooling: TypeAlias = Literal["direct", "session", "transaction"]

PATIENCE = 5.0  # seconds; who waits longer for a server waits for one that is lent to somebody else
ROUNDS = 8  # others may take the server that the probe has just given back

# PgBouncer and what is made of it; Amazon's RDS Proxy.
_REFUSED = re.compile(r"(options )?startup parameter|command-line options", re.IGNORECASE)
_WHO = "select pg_backend_pid()"
_FIRST_OPTION = "-c timezone="  # ours begin with it, after those of the DSN

_found: dict[str, Pooling] = {}


class Tolerant(Connection[TupleRow]):
    """A connection for a pool of ours: made without our options where they are refused."""

    @classmethod
    def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
        """Connect, if need be once more without options."""
        try:
            return super().connect(conninfo, **parameters)
        except psycopg.OperationalError as error:
            return super().connect(conninfo, **_without_options(parameters, error))


class AsyncTolerant(AsyncConnection[TupleRow]):
    """As ``Tolerant``, for a pool of an event loop."""

    @classmethod
    async def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
        """Connect, if need be once more without options."""
        try:
            return await super().connect(conninfo, **parameters)
        except psycopg.OperationalError as error:
            return await super().connect(conninfo, **_without_options(parameters, error))


def connect(parameters: Mapping[str, Any]) -> Connection[TupleRow]:
    """Connect for statements that rely on no setting and are not prepared; without our options where they are refused."""
    connection: Connection[TupleRow] = Tolerant.connect(**parameters, prepare_threshold=None)
    return connection


def known(dsn: str) -> Pooling | None:
    """Return what was found, None when nobody has looked yet."""
    return _found.get(dsn)


def forget(dsn: str) -> None:
    """Look again at the next connect: what happened contradicts what was found."""
    _found.pop(dsn, None)


def find(dsn: str, parameters: Mapping[str, Any]) -> Pooling:
    """Return what stands between us and the server; looked for once in a process.

    Raises:
        ConfigurationError: It pools statements, where a transaction is impossible.
        psycopg.Error: The connection cannot be made, or broke.
    """
    if dsn not in _found:
        _found[dsn] = _probe(parameters)
    return _found[dsn]


def _probe(parameters: Mapping[str, Any]) -> Pooling:
    with _connected(parameters) as first:
        with _limited(first):
            server = _server_of(first)
        took_options = _FIRST_OPTION in first.info.get_parameters().get("options", "")
        if server == first.info.backend_pid and took_options:
            return "direct"
        with _connected(parameters) as second, _limited(first, second) as passed:
            try:
                return "transaction" if _is_shared(first, second, server) else "session"
            except psycopg.OperationalError:
                if passed.is_set():
                    return "transaction"  # what is right behind it is right, if slower, behind the other too
                raise


def _is_shared(first: Connection[TupleRow], second: Connection[TupleRow], server: int) -> bool:
    """Whether a server goes from hand to hand while both connections are open."""
    for turn in range(ROUNDS):
        try:
            second.execute("begin")
        except errors.ProtocolViolation:
            raise ConfigurationError(
                "The pooler lends a server for one statement at a time, and a bulk of jobs needs a transaction.",
                "Set its pool_mode to transaction or session for this database.",
            ) from None
        if _server_of(second) == server or _server_of(first) != server or _was_used(second, server):
            return True
        second.execute("rollback")
        if any(_server_of(first) != server for _ in range(turn)):
            return True
    return False


def _server_of(connection: Connection[TupleRow]) -> int:
    row = connection.execute(_WHO).fetchone()
    assert row is not None
    return int(row[0])


def _was_used(connection: Connection[TupleRow], server: int) -> bool:
    """Whether a server has done more since it was asked who it is; not known where activity is not tracked."""
    row = connection.execute("select query from pg_stat_activity where pid = %s", [server]).fetchone()
    return row is not None and row[0] not in (_WHO, None, "")


@contextmanager
def _connected(parameters: Mapping[str, Any]) -> Iterator[Connection[TupleRow]]:
    connection = connect(parameters)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _limited(*connections: Connection[TupleRow]) -> Iterator[threading.Event]:
    """Cut the connections when the block takes too long; the event says whether that was done."""
    passed = threading.Event()

    def end() -> None:
        passed.set()
        for connection in connections:
            cut(connection)

    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        yield passed
    finally:
        timer.cancel()


def cut(connection: Connection[TupleRow] | AsyncConnection[TupleRow] | None) -> None:
    """Shut down a connection's socket. Cancelling would wait for a server that does not answer; this does not."""
    if connection is not None and not connection.closed:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the other side will not take our options at connect."""
    return isinstance(error, psycopg.OperationalError) and _REFUSED.search(str(error)) is not None


def _without_options(parameters: Mapping[str, Any], error: psycopg.OperationalError) -> dict[str, Any]:
    """Return the parameters with the DSN's own options alone, if it was the options that were refused."""
    given = str(parameters.get("options") or "")
    if _FIRST_OPTION not in given or not is_refusal(error):
        raise error
    return {**parameters, "options": given.partition(_FIRST_OPTION)[0].strip() or None}
