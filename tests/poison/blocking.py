"""Handlers that hold up more than themselves. Two gates of the test say when they may end."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading

import psycopg

from pgqueue import JobContext, PgQueue, RetryPolicy
from tests.worker.crew import GATE, Log

SOON = RetryPolicy(max_retries=100, delays=[0.1])
OTHER_GATE = GATE + 1
MARKS = "create table public.marks (kind text, job_id bigint, pid int)"
place: dict[str, str] = {}  # where this process works, and its children

pgq: PgQueue[None] = PgQueue(lambda: place["dsn"])


def pass_gate(number: int, dsn: str) -> None:
    """Block until the test lets go of an advisory lock."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock_shared(%s)", (number,))


def record(kind: str, ctx: JobContext[None], dsn: str) -> None:
    """Write what happens to the table of the test, and wake it."""
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into public.marks values (%s, %s, %s)", (kind, int(ctx.id), os.getpid()))
        connection.execute("notify test_changed")


@pgq.task(name="block", context=True, retry=SOON)
async def block(ctx: JobContext[None], dsn: str) -> None:
    record("start", ctx, dsn)
    pass_gate(GATE, dsn)  # in a loop: that is what it is for
    record("end", ctx, dsn)


@pgq.task(name="thread", context=True, retry=SOON)
def in_a_thread(ctx: JobContext[None], dsn: str) -> None:
    record("start", ctx, dsn)
    pass_gate(OTHER_GATE, dsn)
    record("end", ctx, dsn)


@pgq.task(name="process", context=True, retry=SOON, executor="process")
def in_a_child(ctx: JobContext[None], dsn: str) -> None:
    record("start", ctx, dsn)
    pass_gate(OTHER_GATE, dsn)
    record("end", ctx, dsn)


@pgq.task(name="gil", context=True, retry=SOON)
async def hold_the_gil(ctx: JobContext[None], dsn: str, seconds: float) -> str:
    """Hold it in the first run only; a PyDLL does not let go of it."""
    record("start", ctx, dsn)
    if ctx.run == 1:
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    record("end", ctx, dsn)
    return f"run {ctx.run}"


@pgq.task(name="work", context=True, retry=SOON)
async def work(ctx: JobContext[None], dsn: str) -> None:
    record("start", ctx, dsn)


@pgq.task(name="wait", context=True, retry=SOON)
async def wait(ctx: JobContext[None], dsn: str) -> None:
    record("start", ctx, dsn)
    await asyncio.Event().wait()


@pgq.task(name="stuck", context=True, retry=RetryPolicy(max_retries=0), timeout=0.2)
def stuck(ctx: JobContext[None]) -> None:
    threading.Event().wait()


def application(dsn: str, log: Log) -> PgQueue[None]:
    """Return the application of a worker process."""
    place["dsn"] = dsn
    return pgq
