"""What the tests of queues share: the order of starts, how many ran at the same time, a lock that holds handlers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

WINDOW = 1000


def shares(started: Sequence[str], weights: dict[str, int], window: int = WINDOW) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest share of each queue over all windows of consecutive starts, as parts of its due."""
    total, counts = sum(weights.values()), Counter(started[:window])
    found = {queue: [counts[queue]] for queue in weights}
    for out, into in zip(started, started[window:], strict=False):
        counts[out] -= 1
        counts[into] += 1
        for queue in weights:
            found[queue].append(counts[queue])
    return {
        queue: (min(seen) * total / window / weights[queue], max(seen) * total / window / weights[queue])
        for queue, seen in found.items()
    }


class Crowd:
    """Counts how many are inside at the same time."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.entered = 0

    @asynccontextmanager
    async def join(self) -> AsyncIterator[None]:
        """Be inside."""
        self.inside += 1
        self.entered += 1
        self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            self.inside -= 1


class Door:
    """Holds handlers until it is opened; tells when the first one stands before it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        await self.opened.wait()


async def become(question: Callable[[], object]) -> None:
    """Wait until something within this process is true, turn by turn of the event loop."""
    async with asyncio.timeout(30):
        while not question():  # noqa: ASYNC110 - what is asked for tells nobody
            await asyncio.sleep(0)


async def deaf(listener: object) -> None:
    """Hear nothing, as behind a pooler."""
    await asyncio.Event().wait()


def fill(pgq: Any, task: Any, **jobs: int) -> None:
    """Enqueue so many jobs of a task in each queue, its name the argument."""
    for queue, count in jobs.items():
        on_queue = task.using(queue=queue)
        pgq.enqueue_many([on_queue.job(queue) for _ in range(count)], returning="count")
