"""A program that declares its tasks in its main file and runs a worker: ``python program.py DSN``."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys

from pgqueue import PgQueue

pgq = PgQueue(sys.argv[1])


def say(path: str, *numbers: int) -> None:
    """Write numbers into a named pipe; waits until somebody reads."""
    with open(path, "w", encoding="utf-8") as pipe:
        pipe.write(" ".join(map(str, numbers)))


@pgq.task(name="pause", executor="process")
def pause(path: str) -> None:
    program = subprocess.Popen(["sleep", "600"])
    say(path, os.getpid(), program.pid)
    signal.pause()


@pgq.task(name="hold_the_gil", executor="process")
def hold_the_gil(path: str) -> None:
    say(path, os.getpid())
    re.match(r"(a+)+b", "a" * 60)


@pgq.task(name="wait", executor="process")
def wait(path: str, gate: str) -> str:
    say(path, os.getpid())
    with open(gate, encoding="utf-8") as opened:
        opened.read()
    return __name__


async def work() -> int:
    """Run a worker with one child."""
    return await pgq.worker(children=1).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(work()))
