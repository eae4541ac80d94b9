"""A program that enqueues, forks, and enqueues on both sides; prints the ids of the jobs as JSON: parent's and child's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from pgqueue import JobSpec, PgQueue


def main(dsn: str) -> None:
    """Enqueue before the fork, in the child, and in the parent afterwards."""
    pgq = PgQueue(dsn)

    @pgq.task(name="note")
    async def note() -> None:
        pass

    parent = [note.enqueue().id, asyncio.run(enqueue_async(pgq, note.job()))]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        jobs = [note.enqueue().id, asyncio.run(enqueue_async(pgq, note.job()))]
        os.write(writer, json.dumps(jobs).encode())
        pgq.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    parent += [note.enqueue().id, asyncio.run(enqueue_async(pgq, note.job()))]
    print(json.dumps([parent, json.loads(os.read(reader, 4096))]))
    pgq.close()


async def enqueue_async(pgq: PgQueue[None], spec: JobSpec[Any]) -> str:
    """Enqueue once on a pool of this event loop."""
    [job] = await pgq.aenqueue_many([spec])
    await pgq.aclose()
    return job.id


if __name__ == "__main__":
    main(sys.argv[1])
