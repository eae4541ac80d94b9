"""Forks worker processes: it has imported all, so that a worker starts in milliseconds and a test can afford many deaths.

``python -m tests.poison.program`` reads orders from standard input, a JSON object a line, and writes what happens to its
workers to standard output. It forks a worker anew when it died, if the order says so.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import selectors
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from pgqueue.worker.supervisor import Worker
from tests.worker.crew import Log

Order = dict[str, Any]


class Parent:
    """The process that forks; it runs no threads."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._ended: set[int] = set()
        self._unread = b""
        self._wakes, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Do what is ordered until standard input ends; then kill all workers."""
        chooser = selectors.DefaultSelector()
        chooser.register(0, selectors.EVENT_READ)
        chooser.register(self._wakes, selectors.EVENT_READ)
        goes_on = True
        while goes_on:
            for key, _ in chooser.select():
                if key.fd == 0:
                    goes_on = self._read()
                else:
                    os.read(self._wakes, 512)
                    self._reap()
        for pid in self._orders:
            os.kill(pid, signal.SIGKILL)

    def _read(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for order in map(json.loads, lines):
            if order["kind"] == "start":
                self._fork(order)
            else:
                self._end(order["order"])
        return bool(data)

    def _end(self, number: int) -> None:
        """Kill the worker of an order, and start it no more."""
        self._ended.add(number)
        for pid, order in self._orders.items():
            if order["order"] == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._orders:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            order = self._orders.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            say(kind="ended", order=order["order"], pid=pid, code=code)
            if order["again"] and code and order["order"] not in self._ended:
                self._fork({**order, "again": order["again"] - 1, "dead": pid})

    def _fork(self, order: Order) -> None:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = work(order)
            except BaseException:  # noqa: BLE001 - the forked process must never come back
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        self._orders[pid] = order
        say(kind="started", order=order["order"], pid=pid)


def say(**facts: Any) -> None:
    """Write a line to whoever gave the orders."""
    os.write(1, json.dumps(facts).encode() + b"\n")


def work(order: Order) -> int:
    """Be a worker; return its exit code."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    redirect(Path(order["folder"]) / "output.txt")
    if order["bury"] and "dead" in order:
        bury(order["dsn"], order["dead"])
    log = Log(str(Path(order["folder"]) / "log"))
    pgq = importlib.import_module(order["module"]).application(order["dsn"], log)
    pgq.events.subscribe(log.event)
    worker = pgq.worker(**order["options"])
    worker.state.timing = replace(worker.state.timing, **order["timing"])
    return asyncio.run(run(worker))


async def run(worker: Worker) -> int:
    """Run the worker; return its exit code."""
    return await worker.run()


def bury(dsn: str, pid: int) -> None:
    """Take a dead worker off the list, so that its jobs come back without the wait for the end of its lease."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("delete from pgqueue.worker where pid = %s", (pid,))


def redirect(output: Path) -> None:
    """Let what a worker prints go to a file."""
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (descriptor, 1), (descriptor, 2)):
        os.dup2(old, new)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    Parent().serve()
