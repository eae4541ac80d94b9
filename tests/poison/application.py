"""Jobs that kill their worker, and others beside them. Each start and end goes to the log."""

from __future__ import annotations

import asyncio
import os
import signal

from pgqueue import JobContext, PgQueue, RetryPolicy
from tests.worker.crew import Gate, Log

SOON = RetryPolicy(max_retries=100, delays=[0.1])


def application(dsn: str, log: Log) -> PgQueue[None]:
    """Return the application of a worker."""
    pgq: PgQueue[None] = PgQueue(dsn)
    gate = Gate(dsn)

    def began(ctx: JobContext[None]) -> None:
        log.write("start", job=int(ctx.id), run=ctx.run)

    @pgq.task(name="work", context=True, retry=SOON)
    async def work(ctx: JobContext[None], seconds: float = 0.0) -> None:
        began(ctx)
        if seconds:
            await asyncio.sleep(seconds)
        log.write("end", job=int(ctx.id), run=ctx.run)

    @pgq.task(name="kill", context=True, retry=SOON)
    async def kill(ctx: JobContext[None], seconds: float = 0.0) -> None:
        began(ctx)
        if seconds:
            await asyncio.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    @pgq.task(name="hold", context=True, retry=SOON)
    async def hold(ctx: JobContext[None]) -> None:
        began(ctx)
        await gate.pass_through()
        log.write("end", job=int(ctx.id), run=ctx.run)

    @pgq.task(name="limited", context=True, retry=SOON, limit=1)
    async def limited(ctx: JobContext[None], seconds: float = 0.0) -> None:
        began(ctx)
        await asyncio.sleep(seconds)
        log.write("end", job=int(ctx.id), run=ctx.run)

    return pgq
