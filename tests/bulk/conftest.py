"""One database for the tests of this folder, the places in which a bulk can be written, and how it was written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import EmbeddedServer, PgQueue, Task
from pgqueue.postgres import chunks, copying, writing
from tests.bulk.places import PLACES, Place, open_place
from tests.databases import emptied, shared

Shrink = Callable[..., None]


@pytest.fixture(scope="session")
def database_of_bulks(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database."""
    with shared(server, "t_bulk") as dsn:
        yield dsn


@pytest.fixture
def dsn(database_of_bulks: str) -> Iterator[str]:
    """The URL of an empty database; afterwards it is checked and emptied."""
    with emptied(database_of_bulks):
        yield database_of_bulks


@pytest.fixture
def send(pgq: PgQueue[None]) -> Task[..., None]:
    """A task that takes anything."""

    @pgq.task(name="send")
    async def send(number: Any, note: Any = None) -> None: ...

    return send


@pytest.fixture(params=PLACES)
async def place(pgq: PgQueue[None], dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Where a bulk is written: on a connection of our own, in a caller's transaction, on one that autocommits."""
    async with open_place(request.param, pgq, dsn) as opened:
        yield opened


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Shrink:
    """Make chunks smaller, and say from how many jobs on they are copied; tests need fewer jobs then."""

    def set_to(jobs: int, *, copied_from: int) -> None:
        monkeypatch.setattr(chunks, "MOST", jobs)
        monkeypatch.setattr(copying, "LEAST", copied_from)

    return set_to


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that went by COPY."""
    sizes: list[int] = []

    class Counted(copying.Lines):
        """Lines that are counted."""

        def __init__(self, specs: Any, *others: Any) -> None:
            sizes.append(len(specs))
            super().__init__(specs, *others)

    monkeypatch.setattr(writing, "Lines", Counted)
    return sizes


@pytest.fixture
def stored(database: psycopg.Connection) -> Callable[[], list[tuple[int, Any]]]:
    """Return what stands in the table: ids and the first argument, by id."""

    def look() -> list[tuple[int, Any]]:
        return database.execute("select id, args -> 'number' from pgqueue.job order by id").fetchall()

    return look
