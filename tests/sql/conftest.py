"""A task to compare with, a role that may only call, and one database for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import EmbeddedServer, PgQueue, Task
from tests.databases import shared
from tests.keys.shared import emptied_of_keys

CALLER = "sql_caller"


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database."""
    with shared(server, "t_sql") as dsn:
        yield dsn


@pytest.fixture
def dsn(shared_database: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    with emptied_of_keys(shared_database):
        yield shared_database


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., None]:
    """A task whose arguments are not checked by type."""

    @pgq.task(name="send")
    def send(user_id: object, note: object = None) -> None: ...

    return send


@pytest.fixture
def caller(dsn: str, database: psycopg.Connection) -> Iterator[str]:
    """The DSN of a role that has no rights yet but to connect and to make temporary things."""
    database.execute(f"create role {CALLER} login".encode())
    yield dsn.replace("postgres@", f"{CALLER}@", 1)
    database.execute(f"drop owned by {CALLER}; drop role {CALLER}".encode())
