"""Handlers for real processes: children that complete or keep checkpoints, and workers that die at the worst moment."""

from __future__ import annotations

import os
import signal
from typing import Any

import psycopg
from psycopg import AsyncConnection

from pgqueue import JobContext, PgQueue, RetryPolicy
from tests.completion.effects import INSERT
from tests.worker.crew import Log

SOON = RetryPolicy(max_retries=10, delays=[0.05])
place: dict[str, str] = {}

pgq: PgQueue[None] = PgQueue(lambda: place["dsn"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pgq.task(name="complete in a child", executor="process", context=True, retry=SOON)
def complete_in_a_child(ctx: JobContext[None], dsn: str, way: str) -> str:
    with psycopg.connect(dsn) as connection:
        connection.execute(INSERT, (int(ctx.id), ctx.run))
        ctx.complete(connection, result=ctx.attempt)
        if way == "rollback" and ctx.attempt == 1:
            connection.rollback()
        elif way == "error" and ctx.attempt == 1:
            raise ValueError("before the commit")
        connection.commit()
        if way == "die":
            die()
    return "not stored"


@pgq.task(name="acomplete in a child", executor="process", context=True, retry=SOON)
async def acomplete_in_a_child(ctx: JobContext[None], dsn: str) -> None:
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute(INSERT, (int(ctx.id), ctx.run))
        await ctx.acomplete(connection, result=ctx.attempt)


@pgq.task(name="go on in a child", executor="process", context=True, retry=SOON)
def go_on_in_a_child(ctx: JobContext[None]) -> Any:
    if ctx.resumed is None:
        ctx.checkpoint({"page": 7})
        die()
    return ctx.resumed


@pgq.task(name="die after the commit", context=True, retry=SOON)
async def die_after_the_commit(ctx: JobContext[None], dsn: str, completes: bool) -> None:
    """Commit the work; the first time, the worker is killed before it can say so."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute(INSERT, (int(ctx.id), ctx.run))
        done = await connection.execute("select count(*) from public.effects where job_id = %s", (int(ctx.id),))
        times = await done.fetchone()
        if completes:
            await ctx.acomplete(connection)
        await connection.commit()
    if times == (1,):
        die()


@pgq.task(name="die after a checkpoint", context=True, retry=SOON)
async def die_after_a_checkpoint(ctx: JobContext[None]) -> Any:
    if ctx.resumed is None:
        await ctx.acheckpoint({"page": 7})
        die()
    return ctx.resumed


def application(dsn: str, log: Log) -> PgQueue[None]:
    """Return the application of a worker process."""
    place["dsn"] = dsn
    return pgq
