"""A task to enqueue, and one database for all of these tests. No key may be left without its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from pgqueue import EmbeddedServer, PgQueue, Task
from tests.databases import shared
from tests.keys.shared import emptied_of_keys


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer) -> Iterator[str]:
    """The URL of one migrated database."""
    with shared(server, "t_keys") as dsn:
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
def run_in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """Start a function in a thread of its own."""
    with ThreadPoolExecutor(64) as pool:
        yield pool.submit
