"""A task to enqueue, every kind of handle, and one database for all of these tests, emptied after each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pgqueue import EmbeddedServer, PgQueue, Task
from pgqueue.postgres import chunks
from tests.databases import emptied, shared
from tests.enqueue.handles import Handle
from tests.enqueue.openers import KINDS, open_handle


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database."""
    with shared(server, "t_enqueue") as dsn:
        yield dsn


@pytest.fixture
def dsn(shared_database: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    with emptied(shared_database):
        yield shared_database


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., None]:
    """A task whose arguments are not checked by type."""

    @pgq.task(name="send")
    def send(user_id: object, note: object = None) -> None: ...

    return send


@pytest.fixture(params=KINDS)
async def handle(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Handle]:
    """A caller's transaction, of each kind in turn."""
    async with open_handle(request.param, dsn) as opened:
        yield opened


@pytest.fixture
def chunks_of_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk goes in chunks of 500 jobs; a whole one is copied where the driver can."""
    monkeypatch.setattr(chunks, "MOST", 500)
