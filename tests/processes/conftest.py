"""Children that the tests of a module share: to start one takes a third of a second."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from pgqueue.worker.children import Children
from tests.processes.driver import Nursery, pids


@pytest.fixture(scope="module", autouse=True)
def no_survivors() -> Iterator[None]:
    """Kill what a module leaves behind, and say so."""
    yield
    left = pids()
    for pid in left:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    assert not left


@pytest.fixture(scope="module")
async def nursery(anyio_backend: str) -> AsyncIterator[Nursery]:
    """One child at a time, with its events."""
    nursery = Nursery()
    async with nursery:
        yield nursery


@pytest.fixture(scope="module")
def children(nursery: Nursery) -> Children:
    return nursery.children
