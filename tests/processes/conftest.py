"""Children that the tests of a module share: to start one takes a third of a second."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pgqueue.worker.children import Children
from tests.processes.driver import Nursery


@pytest.fixture(scope="module")
async def nursery(anyio_backend: str) -> AsyncIterator[Nursery]:
    """One child at a time, with its events."""
    nursery = Nursery()
    async with nursery:
        yield nursery


@pytest.fixture(scope="module")
def children(nursery: Nursery) -> Children:
    return nursery.children
