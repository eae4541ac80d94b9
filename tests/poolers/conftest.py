"""A PgBouncer of each mode in front of the server of the tests, and an application behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue import EmbeddedServer, PgQueue
from tests.pooler import Pooler, needs_pooler, pooled

MODES = ("transaction", "session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/poolers" in item.path.as_posix():
            item.add_marker(needs_pooler)


@pytest.fixture(scope="session")
def transaction_pooler(server: EmbeddedServer) -> Iterator[Pooler]:
    """A pooler that lends a server for a transaction."""
    with pooled(server.dsn, "transaction") as running:
        yield running


@pytest.fixture(scope="session")
def session_pooler(server: EmbeddedServer) -> Iterator[Pooler]:
    """A pooler that lends a server for a session."""
    with pooled(server.dsn, "session") as running:
        yield running


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pooled_dsn(mode: str, dsn: str, request: pytest.FixtureRequest) -> str:
    """The URL of the test's database behind the pooler of a mode."""
    pooler: Pooler = request.getfixturevalue(f"{mode}_pooler")
    return pooler.dsn_of(dsn)


@pytest.fixture
def app(pooled_dsn: str) -> Iterator[PgQueue[None]]:
    """An application behind the pooler."""
    application = PgQueue(pooled_dsn)
    yield application
    application.close()


@pytest.fixture
def lent_dsn(transaction_pooler: Pooler, dsn: str) -> str:
    """The URL of the test's database behind a pooler that lends a server for a transaction."""
    return transaction_pooler.dsn_of(dsn)
