"""``pgqueue worker --processes N``: a parent without jobs that keeps N workers running.

It never imports the application: what a worker leaks dies with the worker. Each process is started by the parent's own
command line and finds its tether in the environment. One that dies is started again, with back-off, for ever. As long as
none has ever been ready, one that ends with an error ends the whole: a wrong application or an unreachable database shows at once.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pgqueue.cli.member import KILLED, Member
from pgqueue.cli.outside import Outside
from pgqueue.model.clock import Clock, monotonic
from pgqueue.telemetry.events import Events
from pgqueue.version import __version__
from pgqueue.worker.notifier import watchdog_seconds
from pgqueue.worker.shutdown import longest_stop
from pgqueue.worker.signals import Signals
from pgqueue.worker.state import Timing

EVERY = 1.0
MARGIN_SECONDS = 5.0
EXIT_FAILED = 1
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


def own_command() -> list[str]:
    """Return the command line that started this process, for others like it."""
    return [sys.executable, *sys.orig_argv[1:]]


class Processes:
    """Keeps worker processes running. Seen from outside like one worker; see ``Observed``.

    Args:
        count: How many.
        timing: The workers'; a process that takes longer to stop than they may is killed.
        until_done: Whether a process that ends well is not started again, because the workers drain the queues.
        command: What to run; None: this process's own command line.
    """

    def __init__(
        self,
        count: int,
        *,
        timing: Timing,
        until_done: bool,
        events: Events,
        command: Sequence[str] | None = None,
        clock: Clock = monotonic,
    ) -> None:
        environment = dict(os.environ)
        watchdog = watchdog_seconds(dict(os.environ))
        for name in ("NOTIFY_SOCKET", "WATCHDOG_PID"):
            environment.pop(name, None)
        self.members = [Member(command or own_command(), environment, clock, watchdog) for _ in range(count)]
        self._timing = timing
        self._until_done = until_done
        self._events = events
        self._told = asyncio.Event()
        self._ever_ready = False
        self._failed = 0

    async def run(self, outside: Outside) -> int:
        """Run until told to stop; return the worst exit code of the processes."""
        with Signals((self.stop, self.hurry, self.kill), lambda: self._tell("quiet"), lambda: self._tell("resume")):
            watching = asyncio.create_task(self._watch(outside))
            codes = await asyncio.gather(*(self._keep(member) for member in self.members))
            self._told.set()
            watching.cancel()
            self._show(outside)
        return self._failed or max(codes)

    def stop(self) -> None:
        """Let all stop in phases."""
        self._told.set()
        self._tell("stop")
        self._kill_after(longest_stop(self._timing))

    def hurry(self) -> None:
        """Let all cancel what runs."""
        self._tell("hurry")
        self._kill_after(longest_stop(self._timing, hurried=True))

    def kill(self) -> None:
        """End all that still run; their jobs go back by the next sweep of another worker."""
        for member in self.members:
            member.kill()

    @property
    def is_live(self) -> bool:
        """Whether each process's event loop turned within the last 30 s."""
        return all(member.is_live for member in self.members)

    @property
    def is_ready(self) -> bool:
        """Whether all take jobs."""
        return not self.is_stopping and all(member.is_ready for member in self.members)

    @property
    def is_stopping(self) -> bool:
        """Whether they were told to stop."""
        return self._told.is_set()

    @property
    def is_sound(self) -> bool:
        """A process that is not sound is started again by the parent, so the whole is."""
        return True

    def summary(self) -> str:
        """Say in a few words how they are."""
        ready = sum(member.is_ready for member in self.members)
        return f"{'stopping: ' if self.is_stopping else ''}{ready} of {len(self.members)} processes ready"

    def status(self) -> Mapping[str, Any]:
        """Say all that is known, in values that JSON has."""
        members = [member.status() for member in self.members]
        return {"version": __version__, "pid": os.getpid(), "processes": members}

    async def _keep(self, member: Member) -> int:
        """Keep one process running until it is not to be started again; return its last exit code."""
        failures = 0
        while True:
            code = await self._live(member)
            self._ever_ready = self._ever_ready or member.was_ready
            if self.is_stopping or (self._until_done and code in {0, KILLED}):
                return code if code >= 0 else KILLED
            if code > 0 and not self._ever_ready:
                self._failed = code
                self.stop()
                return code
            failures = 0 if member.was_ready else failures + 1
            pause = 0.0 if code == 0 and member.was_ready else _back_off(failures)
            self._events.emit("process.ended", pid=member.pid, **_end(code), again_in=round(pause, 2))
            if await self._is_told_within(pause):
                return 0

    async def _live(self, member: Member) -> int:
        try:
            return await member.live()
        except OSError as error:  # the system is short of processes or descriptors
            self._events.tell_failure("process", error)
            return EXIT_FAILED

    async def _watch(self, outside: Outside) -> None:
        """Tell those outside how all is; kill who is stuck."""
        every = min(EVERY, outside.every or EVERY)
        while True:
            self._show(outside)
            for member in self.members:
                if member.is_stuck:
                    self._events.emit("process.stuck", pid=member.pid)
                    member.kill()
            await asyncio.sleep(every)

    def _show(self, outside: Outside) -> None:
        self._ever_ready = self._ever_ready or any(member.was_ready for member in self.members)
        for follower in outside.followers:
            try:
                follower.follow(self)
            except OSError as error:
                self._events.tell_failure(type(follower).__name__, error, EVERY)

    def _tell(self, word: str) -> None:
        for member in self.members:
            member.tell(word)

    def _kill_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds + MARGIN_SECONDS, self.kill)

    async def _is_told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        return True


def _back_off(failures: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10)) * random.uniform(0.8, 1.2)


def _end(code: int) -> dict[str, int]:
    return {"code": code} if code >= 0 else {"signal": -code}
