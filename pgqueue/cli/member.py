"""One of several worker processes, as their parent sees it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pgqueue.model.clock import Clock
from pgqueue.worker.notifier import FACTS
from pgqueue.worker.outlook import LIVE_SECONDS
from pgqueue.worker.tether import described

_MOST_BYTES = 1 << 18
KILLED = 3


class Member:
    """Starts a process, hears of it, tells it what to do, and waits for its end.

    Args:
        command: What to run.
        environment: What it inherits.
        watchdog: Seconds within which it has to be heard of, once it is ready; None: it is given all the time it needs.

    Attributes:
        pid: Of the present process, or the last one.
        was_ready: Whether it has been ready.
        starts: How many processes were started.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], clock: Clock, watchdog: float | None
    ) -> None:
        self._command = command
        self._environment = environment
        self._clock = clock
        self._watchdog = watchdog
        self._process: Process | None = None
        self._words: int | None = None
        self._facts: dict[str, Any] = {}
        self._heard_at = 0.0
        self.pid: int | None = None
        self.was_ready = False
        self.starts = 0

    @property
    def is_ready(self) -> bool:
        """Whether it takes jobs."""
        return self._process is not None and bool(self._facts.get("ready"))

    @property
    def is_live(self) -> bool:
        """Whether its event loop turned within the last 30 s; one that is not ready yet is given time."""
        return not self.was_ready or self._silent_seconds() < LIVE_SECONDS

    @property
    def is_stuck(self) -> bool:
        """Whether the watchdog has waited too long."""
        is_due = self._watchdog is not None and self._silent_seconds() > self._watchdog
        return is_due and self.was_ready and self._process is not None

    async def live(self) -> int:
        """Run one process to its end; return its exit code, below 0: the signal that killed it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        reading, self._words = os.pipe()
        self._facts, self._heard_at, self.was_ready, self.pid = {}, self._clock(), False, None
        self.starts += 1
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=DEVNULL,
                env={**self._environment, **described(theirs, reading)},
                pass_fds=(theirs.fileno(), reading),
                process_group=0,  # the terminal's Ctrl-C is for the parent, which passes it on
            )
        finally:
            theirs.close()
            os.close(reading)
            if self._process is None:
                self._let_go(ours)
        self.pid = process.pid
        asyncio.get_running_loop().add_reader(ours, self._hear, ours)
        try:
            return await process.wait()
        finally:
            asyncio.get_running_loop().remove_reader(ours)
            self._let_go(ours)

    def tell(self, word: str) -> None:
        """Say a word; see ``Tether``."""
        if self._words is not None:
            with suppress(BrokenPipeError):  # it has ended
                os.write(self._words, f"{word}\n".encode())

    def kill(self) -> None:
        """End the process without its consent."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def status(self) -> dict[str, Any]:
        """Return all that is known of it."""
        known = {"pid": self.pid, "starts": self.starts, "silent_seconds": round(self._silent_seconds(), 1)}
        return {**known, "ready": False, **(self._facts if self._process is not None else {})}

    def _silent_seconds(self) -> float:
        return self._clock() - self._heard_at

    def _hear(self, ours: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while heard := ours.recv(_MOST_BYTES):
                said = dict(line.split("=", 1) for line in heard.decode().split("\n") if "=" in line)
                if "WATCHDOG" in said:
                    self._heard_at = self._clock()
                self.was_ready = self.was_ready or "READY" in said
                self._facts = json.loads(said.get(FACTS, "{}"))

    def _let_go(self, ours: socket.socket) -> None:
        ours.close()
        if self._words is not None:
            os.close(self._words)
        self._process = self._words = None
