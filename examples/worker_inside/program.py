"""A worker as a program of its own making: it runs until TERM or INT, and says how it ended.

DATABASE_URL=... python -m examples.worker_inside.program
"""

import asyncio
import sys

from pgqueue import PgQueue

pgq = PgQueue()


@pgq.task(name="inside.greet")
async def greet(name: str) -> str:
    """Make a greeting."""
    return f"Hello, {name}!"


async def main() -> int:
    """Run a worker; it takes the signals of this process."""
    return await pgq.worker(concurrency=20, stop_timeout="5s").run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
