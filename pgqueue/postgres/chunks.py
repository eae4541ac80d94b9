"""A stream of jobs, taken in chunks of bounded count and size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

import anyio.lowlevel

from pgqueue.model.job import JobSpec
from pgqueue.model.options import JobOptions
from pgqueue.postgres.steps import Chunk
from pgqueue.tasks import check_jobs

MOST = 20_000  # jobs; from 10,000 to 20,000 a bulk gains a thirtieth, above little (benchmarks/bulk.py)
MOST_AT_ONCE = 2000  # jobs, where an event loop waits meanwhile
LARGEST = 4 * 1024 * 1024  # characters of arguments, headers and tags
_HANDFUL = 25  # jobs between two looks at the size; each is of a megabyte at most


def take(stream: Iterator[JobSpec[Any]]) -> Chunk:
    """Return the next chunk, empty at the end of the stream.

    Raises:
        InvalidArguments: An element is no job.
    """
    chunk = _Chunk(MOST)
    while not chunk.is_full and chunk.add(list(islice(stream, _HANDFUL))):
        pass
    return chunk.specs


async def atake(stream: Iterator[JobSpec[Any]] | AsyncIterator[JobSpec[Any]]) -> Chunk:
    """Return the next chunk, smaller and with turns for the event loop in between: what makes the jobs may never wait."""
    chunk = _Chunk(min(MOST, MOST_AT_ONCE))
    if isinstance(stream, Iterator):
        while not chunk.is_full and chunk.add(list(islice(stream, _HANDFUL))):
            await anyio.lowlevel.checkpoint()
        return chunk.specs
    async for spec in stream:
        chunk.add([spec])
        if len(chunk.specs) % _HANDFUL == 0:
            await anyio.lowlevel.checkpoint()
        if chunk.is_full:
            break
    return chunk.specs


class _Chunk:
    """A chunk that grows to a bounded count and size."""

    def __init__(self, most: int) -> None:
        self.specs: Chunk = []
        self._most = most
        self._size = 0
        self._notes: dict[int, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether it should be written now."""
        return len(self.specs) >= self._most or self._size >= LARGEST

    def add(self, handful: list[JobSpec[Any]]) -> bool:
        """Add jobs; say whether there were any."""
        check_jobs(handful)
        self._size += sum([len(spec.args) for spec in handful])
        self._size += sum([self._weigh(s.options) for s in handful if s.options.headers or s.options.tags])
        self.specs += handful
        return bool(handful)

    def _weigh(self, options: JobOptions) -> int:
        """Return the size of headers and tags; calls with the same options share the object, which the chunk keeps alive."""
        if id(options) not in self._notes:
            texts = [*(options.tags or ()), *(part for pair in (options.headers or {}).items() for part in pair)]
            self._notes[id(options)] = sum(map(len, texts))
        return self._notes[id(options)]
