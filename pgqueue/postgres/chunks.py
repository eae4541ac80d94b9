"""A stream of jobs, taken in chunks of bounded count and size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from pgqueue.model.job import JobSpec
from pgqueue.postgres.steps import Chunk
from pgqueue.tasks import check_jobs

MOST = 20_000  # jobs; from 10,000 to 20,000 a bulk gains a thirtieth, above little (benchmarks/bulk.py)
LARGEST = 4 * 1024 * 1024  # characters of arguments
_HANDFUL = 25  # jobs between two looks at the size; each is of a megabyte at most


def take(stream: Iterator[JobSpec[Any]]) -> Chunk:
    """Return the next chunk, empty at the end of the stream.

    Raises:
        InvalidArguments: An element is no job.
    """
    chunk: Chunk = []
    size = 0
    while len(chunk) < MOST and size < LARGEST:
        handful = list(islice(stream, _HANDFUL))
        if not handful:
            break
        size += _weigh(handful)
        chunk += handful
    return chunk


async def atake(stream: AsyncIterator[JobSpec[Any]]) -> Chunk:
    """Return the next chunk of an asynchronous stream."""
    chunk: Chunk = []
    size = 0
    async for spec in stream:
        size += _weigh([spec])
        chunk.append(spec)
        if len(chunk) >= MOST or size >= LARGEST:
            break
    return chunk


def _weigh(specs: Chunk) -> int:
    check_jobs(specs)
    return sum([len(spec.args) for spec in specs])
