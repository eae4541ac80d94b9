"""An application whose handlers run in child processes; each does one thing, most of them something bad."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import hashlib
import logging
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from pgqueue import GiveUp, InvalidPayload, JobContext, PgQueue, RetryAfter, RetryPolicy, Snooze, current
from pgqueue.tasks import CURRENT
from pgqueue.worker.wire import LARGEST

logger = logging.getLogger("shop.images")
mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")
hoard: list[bytearray] = []


class BadImage(Exception):
    """There is nothing to resize."""


class Deps:
    """Made once in each process.

    Attributes:
        pid: Where it was made.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.uses = 0


pgq = PgQueue("postgresql://nowhere.invalid/shop", deps=Deps)
POLICY = RetryPolicy(delays=["5s"], give_up_on=[BadImage])


@pgq.middleware
def noted(ctx: JobContext[Any], call: Callable[[], Any]) -> Any:
    ctx.progress(0.0, f"begins in {os.getpid()}")
    return call()


@pgq.task(executor="process")
def where() -> dict[str, Any]:
    return {"pid": os.getpid(), "session": os.getsid(0), "argv": sys.argv, "main": __name__}


@pgq.task(executor="process")
async def where_async() -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"pid": os.getpid(), "loop": id(asyncio.get_running_loop())}


@pgq.task(executor="process", context=True)
def facts(ctx: JobContext[Deps], text: str = "") -> dict[str, Any]:
    ctx.deps.uses += 1
    helper = current()
    assert helper is not None
    before, _ = mark.get(), mark.set("left set")
    return {
        "id": helper.id,
        "attempt": ctx.attempt,
        "headers": dict(ctx.headers),
        "deadline": ctx.deadline.isoformat(),
        "resumed": ctx.resumed,
        "deps": [ctx.deps.pid == os.getpid(), ctx.deps.uses],
        "mark": before,
    }


@pgq.task(executor="process", retry=POLICY)
def behave(how: str) -> None:
    act(how)


@pgq.task(executor="process", retry=POLICY)
async def behave_async(how: str) -> None:
    await asyncio.sleep(0)
    act(how)


def act(how: str) -> None:
    """Do something that a handler should not."""
    if how in RAISED:
        raise RAISED[how]
    DONE[how]()


def recurse() -> None:
    recurse()


def crash() -> None:
    with suppress(OSError):
        os.close(2)  # the trace of the crash is not for the test's output
    ctypes.string_at(0)


def write_half() -> None:
    write_everywhere(struct.pack("!I", 1000) + b'{"kind": "ended"')
    os._exit(0)


def write_nonsense() -> None:
    body = b'{"kind": "ended"}'
    write_everywhere(struct.pack("!I", len(body)) + body)


def fork(end: Callable[[], None]) -> None:
    """Let a copy of this process end in some way, and wait for it."""
    if os.fork() == 0:
        end()
    else:
        os.wait()


def fail() -> None:
    raise ValueError("in the copy")


def write_everywhere(junk: bytes) -> None:
    for descriptor in range(3, 2000):
        with suppress(OSError):
            os.write(descriptor, junk)


RAISED: dict[str, BaseException] = {
    "error": ValueError("no such image"),
    "BadImage": BadImage("empty"),
    "GiveUp": GiveUp("never"),
    "Snooze": Snooze("7s"),
    "RetryAfter": RetryAfter("9s"),
    "SystemExit": SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt("no"),
}
DONE: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "recursion": recurse,
    "_exit": lambda: os._exit(3),
    "SIGSEGV": crash,
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "close": lambda: os.closerange(3, 2000),
    "garbage": lambda: write_everywhere(b"\xff" * 64),
    "half": write_half,
    "nonsense": write_nonsense,
    "fork and return": lambda: fork(lambda: None),
    "fork and raise": lambda: fork(fail),
    "fork and exit": lambda: fork(sys.exit),
}


@pgq.task(executor="process", context=True)
def keep_result(ctx: JobContext[Deps], how: str) -> None:
    ctx.result({"kept": how})
    act(how)


@pgq.task(executor="process", context=True)
def checkpoints(ctx: JobContext[Deps], value: object, size: int = 0) -> Any:
    ctx.checkpoint("x" * size if size else value)
    return "stored"


@pgq.task(executor="process", context=True)
async def acheckpoints(ctx: JobContext[Deps], value: object, size: int = 0) -> Any:
    await ctx.acheckpoint("x" * size if size else value)
    return "stored"


@pgq.task(executor="process", context=True)
async def blocks_with_a_checkpoint(ctx: JobContext[Deps]) -> None:
    ctx.checkpoint(1)


@pgq.task(executor="process", context=True)
def overshoots(ctx: JobContext[Deps]) -> None:
    ctx.progress(1.5)


@pgq.task(executor="process")
def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pgq.task(executor="process")
def echo(text: str) -> str:
    return text


@pgq.task(executor="process")
def chatter(lines: int) -> None:
    for number in range(lines):
        print(f"line {number} " + "." * 90)


@pgq.task(executor="process", context=True)
def logs(ctx: JobContext[Deps]) -> None:
    logger.info("plain %s", "text", extra={"size": 3})
    logger.debug("too fine")
    ctx.logger.warning("from the context")
    try:
        raise BadImage("broken")
    except BadImage:
        logger.exception("caught")


@pgq.task(executor="process")
def logs_much(how: str) -> str:
    text = "x" * 5_000_000
    much: dict[str, Any] = {
        "message": {"msg": text},
        "fact": {"msg": "cut", "extra": {"size": 3, "fact": text}},
        "facts": {"msg": "cut", "extra": {"size": 3, **{f"fact{number}": "\x00" * 29_000 for number in range(200)}}},
        "mapping": {"msg": "cut", "extra": {"size": 3, "fact": {str(number): "x" for number in range(500_000)}}},
        "name": {"msg": "cut", "extra": {"size": 3, text: 1}},
        "number": {"msg": "cut", "extra": {"size": 3, "fact": 10**5000}},
    }
    logger.info(**much[how])
    return "logged"


@pgq.task(executor="process")
def says_too_much() -> str:
    held = CURRENT.get()
    assert held is not None
    run: Any = held[1](held[0])
    try:
        run._line.send({"kind": "log", "record": "x" * (LARGEST + 1)})
    except InvalidPayload:
        return "refused"
    return "sent"


@dataclass
class Size:
    """What a picture measures."""

    width: int
    height: int


@pgq.task(executor="process")
def measure(width: int) -> Size:
    return Size(width, 2 * width)


@pgq.task(executor="process", context=True)
def spin(ctx: JobContext[Deps], heed: bool) -> str:
    """Compute until told to end, or for ever; say so first, and start a program that would go on."""
    program = subprocess.Popen(["sleep", "600"])
    ctx.progress(0.5, str(program.pid))
    while not (heed and ctx.cancelled):
        sum(range(1000))
    program.kill()
    program.wait()
    return "told"


@pgq.task(executor="process", context=True)
async def hang(ctx: JobContext[Deps], heed: bool) -> None:
    ctx.progress(0.5, "hangs")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if heed:
                raise


@pgq.task(executor="process", context=True)
def hold_the_gil(ctx: JobContext[Deps]) -> None:
    ctx.progress(0.5, "holds")
    re.match(r"(a+)+b", "a" * 60)


@pgq.task(executor="process", context=True)
async def leaves_a_task(ctx: JobContext[Deps], deaf: bool) -> int:
    async def go_on() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(600)
            if not deaf:
                return

    left = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    return id(left)


@pgq.task(executor="process")
def swell(megabytes: int) -> int:
    hoard.append(bytearray(b"x") * (megabytes * 1_000_000))
    return os.getpid()


@pgq.task(executor="process", context=True)
def wait_for(ctx: JobContext[Deps], path: str) -> int:
    """Wait until somebody opens a named pipe to write."""
    ctx.progress(0.5, "waits")
    with open(path, encoding="utf-8"):
        return os.getpid()


@pgq.task(executor="process", retry=RetryPolicy(delays=[0]))
def kill_quickly() -> None:
    os._exit(9)


@pgq.task(executor="process", context=True, retry=RetryPolicy(delays=[0]))
def goes_on(ctx: JobContext[Deps]) -> dict[str, Any]:
    if ctx.resumed is None:
        ctx.checkpoint({"page": 7})
        os._exit(1)
    return {"resumed": ctx.resumed}


@pgq.task(executor="process", context=True, retry=RetryPolicy(max_retries=0))
def completes(ctx: JobContext[Deps], dsn: str, commits: bool) -> None:
    with psycopg.connect(dsn) as connection:
        ctx.complete(connection, result={"by": "hand"})
        if not commits:
            connection.rollback()


@pgq.route("image:", executor="process")
def any_image(ctx: JobContext[Deps], arguments: Mapping[str, Any]) -> list[Any]:
    return [ctx.task, arguments]


@pgq.task
def in_a_thread() -> int:
    time.sleep(0)
    return os.getpid()
