"""A task to enqueue, and one database for all of these tests, emptied after each. No key may be left without its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer, PgQueue, Task
from tests.conftest import TEMPLATE
from tests.enqueue.conftest import EMPTY
from tests.keys.hold import leaked


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database; making one a test would take most of the time."""
    name = "t_keys"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
            fresh.execute("select pgqueue.adopt()")
        yield server.dsn_of(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(shared_database: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    yield shared_database
    with psycopg.connect(shared_database, autocommit=True, options="-c lock_timeout=10s") as connection:
        misplaced = connection.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
        unfreed = leaked(connection)
        connection.execute(EMPTY)
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"
    assert unfreed == [], f"keys whose job is gone: {unfreed}"


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., None]:
    """A task whose arguments are not checked by type."""

    @pgq.task(name="send")
    def send(user_id: object, note: object = None) -> None: ...

    return send


@pytest.fixture
def run_in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """Start a function in a thread of its own."""
    with ThreadPoolExecutor(64) as pool:
        yield pool.submit
