"""A real PostgreSQL for each test process, a database of its own for each test.

At the end of every test each live job stands in exactly one place.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer, PgQueue, embedded
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from tests.pooler import MISSING, POOLED, PROGRAM, Pooler, pooled
from tests.support import Watch

TEMPLATE = "pgqueue_template"

# A seq drawn before its transaction has an id could stand below every cursor; in tests that is an error.
DRAW = """
create function pgqueue.draw() returns bigint language plpgsql as $$
begin
  if pg_current_xact_id_if_assigned() is null then
    raise exception 'a seq was drawn before the transaction had an id';
  end if;
  return nextval('pgqueue.ready_seq');
end $$;
alter table pgqueue.ready alter column seq set default pgqueue.draw();
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Behind a pooler that lends a server for a transaction nobody listens."""
    deaf = pytest.mark.skip(reason="the worker that this test wakes cannot listen behind the pooler")
    for item in items if POOLED else ():
        if "LISTENING" in inspect.getsource(getattr(item, "function", type(item))):
            item.add_marker(deaf)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def no_environment() -> None:
    """Tests reach their own server only, whatever the developer's shell says."""
    for name in [
        n
        for n in os.environ
        if n.startswith(("PGQUEUE_DSN", "PGQUEUE_DIRECT", "PGQUEUE_SCHEMA", "DATABASE_URL", "PGHOST", "PGDATABASE"))
    ]:
        del os.environ[name]


@pytest.fixture(scope="session")
def server(no_environment: None) -> Iterator[EmbeddedServer]:
    """PostgreSQL 18, or the version that PGQUEUE_TEST_POSTGRES names."""
    version = int(os.environ.get("PGQUEUE_TEST_POSTGRES", "18"))
    with embedded(
        version=version, settings={"fsync": "off", "max_prepared_transactions": "20", "autovacuum": "off"}
    ) as running:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute(f"create database {TEMPLATE}")
        migrate(Settings(running.dsn_of(TEMPLATE), "pgqueue"))
        with psycopg.connect(running.dsn_of(TEMPLATE), autocommit=True) as connection:
            connection.execute(DRAW)
        yield running


@pytest.fixture
def dsn(server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, migrated database; afterwards it is checked and dropped."""
    name = f"t_{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        # The template's home is another database; a copy made for a test is where its jobs belong.
        with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
            fresh.execute(
                "update pgqueue.home set database_oid = d.oid::bigint from pg_database d where d.datname = current_database()"
            )
        yield server.dsn_of(name)
        misplaced = _misplaced(server.dsn_of(name))
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"


@pytest.fixture
def settings(dsn: str) -> Settings:
    return Settings(dsn, "pgqueue")


@pytest.fixture
def database(dsn: str) -> Iterator[psycopg.Connection]:
    """An autocommitting connection of the test's own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def front(server: EmbeddedServer) -> Iterator[Pooler | None]:
    """PGQUEUE_TEST_POOLER=1: a PgBouncer that lends a server for a transaction."""
    if not POOLED:
        yield None
        return
    if PROGRAM is None:
        pytest.skip(MISSING)
    with pooled(server.dsn, "transaction") as running:
        yield running


@pytest.fixture
def worker_dsn(dsn: str, front: Pooler | None) -> str:
    """The URL by which applications and workers reach the test's database."""
    return dsn if front is None else front.dsn_of(dsn)


@pytest.fixture
def pgq(worker_dsn: str) -> Iterator[PgQueue[None]]:
    """An application without tasks."""
    queue = PgQueue(worker_dsn)
    yield queue
    queue.close()


@pytest.fixture
def watch(dsn: str) -> Iterator[Watch]:
    """Waits for what becomes true in the database, without sleeping."""
    with Watch(dsn) as watching:
        yield watching


def _misplaced(dsn: str) -> list[tuple[int, int, int]]:
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(dsn) as connection:
        return connection.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
    return []
