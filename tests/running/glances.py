"""Waiting until something can be seen of a worker or a parent, looked at each time that its followers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pgqueue.worker.observed import Observed
from tests.worker.harness import PATIENCE


class Glances:
    """A follower that lets the test look again."""

    def __init__(self) -> None:
        self._shown = asyncio.Event()

    def follow(self, seen: Observed) -> None:
        """Look again at what is waited for."""
        self._shown.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._shown.clear()
                await self._shown.wait()
