"""A plain program that enqueues its work, does it, and ends when all is done.

DATABASE_URL=... python -m examples.worker_inside.script
"""

import asyncio

from pgqueue import PgQueue

pgq = PgQueue()


@pgq.task(name="inside.square", queue="squares")
async def square(number: int) -> int:
    """Do a piece of the work."""
    return number * number


async def main() -> None:
    """Enqueue, work, and print what came out."""
    jobs = await pgq.aenqueue_many(square.job(number) for number in range(10))
    async with pgq.worker(queues=["squares"], concurrency=4):
        print(sum(await pgq.agather(jobs, timeout="30s")))
    await pgq.aclose()


if __name__ == "__main__":
    asyncio.run(main())
