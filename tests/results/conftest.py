"""One database for the tests of this folder, and handles of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pgqueue import EmbeddedServer, PgQueue, Task
from tests.databases import emptied, shared
from tests.enqueue.handles import Handle
from tests.enqueue.openers import KINDS, open_handle


@pytest.fixture(scope="session")
def database_of_results(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database."""
    with shared(server, "t_results") as dsn:
        yield dsn


@pytest.fixture
def dsn(database_of_results: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    with emptied(database_of_results):
        yield database_of_results


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., object]:
    """A task that nobody runs."""

    @pgq.task(name="send")
    def send(number: int) -> object: ...

    return send


@pytest.fixture(params=KINDS)
async def handle(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Handle]:
    """A caller's transaction, of each kind in turn."""
    async with open_handle(request.param, dsn) as opened:
        yield opened
