"""One task for each executor, whose handler does what its job says."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from pgqueue import GiveUp, JobContext, PgQueue, RetryAfter, RetryPolicy, Snooze
from tests.worker.crew import Log

LATER = RetryPolicy(max_retries=10, delays=["1h"])
SOON = RetryPolicy(max_retries=10, delays=[0.05])
EXECUTORS = ("loop", "thread", "process")

DATABASE = ExitStack()

pgq: PgQueue[None] = PgQueue("postgresql://nowhere.invalid/matrix")


def crash() -> None:
    """Die as a defect in C code does, without its trace in the test's output."""
    with suppress(OSError):
        os.close(2)
    ctypes.string_at(0)


def fail(error: BaseException) -> None:
    raise error


ACTS: dict[str, Callable[[], object]] = {
    "success": lambda: None,
    "error": lambda: fail(ValueError("no")),
    "GiveUp": lambda: fail(GiveUp("no")),
    "Snooze": lambda: fail(Snooze("1h")),
    "RetryAfter": lambda: fail(RetryAfter("1h")),
    "SystemExit": lambda: fail(SystemExit(3)),
    "os._exit": lambda: os._exit(3),
    "SIGSEGV": crash,
}


def act(ctx: JobContext[None], how: str) -> None:
    """Do it, or go on until told to end."""
    if how in ACTS:
        ACTS[how]()
        return
    ctx.progress(0.5)
    while not ctx.cancelled:
        time.sleep(0.01)


async def aact(ctx: JobContext[None], how: str) -> None:
    """Do it, or wait for ever."""
    if how in ACTS:
        ACTS[how]()
        return
    ctx.progress(0.5)
    await asyncio.Event().wait()


@pgq.task(name="loop", context=True, retry=LATER)
async def on_the_loop(ctx: JobContext[None], how: str) -> None:
    await aact(ctx, how)


@pgq.task(name="thread", context=True, retry=LATER)
def in_a_thread(ctx: JobContext[None], how: str) -> None:
    act(ctx, how)


@pgq.task(name="process", context=True, retry=LATER, executor="process")
def in_a_child(ctx: JobContext[None], how: str) -> None:
    act(ctx, how)


@pgq.task(name="dying loop", context=True, retry=SOON)
async def dies_on_the_loop(ctx: JobContext[None], how: str) -> None:
    await aact(ctx, how)


@pgq.task(name="dying thread", context=True, retry=SOON)
def dies_in_a_thread(ctx: JobContext[None], how: str) -> None:
    act(ctx, how)


@pgq.task(name="dying process", context=True, retry=SOON, executor="process")
def dies_in_a_child(ctx: JobContext[None], how: str) -> None:
    act(ctx, how)


def application(dsn: str, log: Log) -> PgQueue[None]:
    """Return the application of a worker process, which works on this database until it ends."""
    DATABASE.enter_context(pgq.working_on(dsn))
    return pgq
