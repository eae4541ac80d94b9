"""Starts worker processes by a program that forks them; see ``tests.poison.program``."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.worker.crew import lines

SHORT = {"beat": 0.2, "lease": 1.0, "sweep": 0.2}  # a dead worker is found by its silence, soon
BURIED = {"sweep": 0.1}  # it is found by whoever takes its place
PATIENCE = 20.0
MOST_DEATHS = 50
MODULES = (
    "tests.poison.application",
    "tests.poison.blocking",
    "tests.matrix.application",
    "tests.completion.application",
)


class Member:
    """A worker process, and those that took its place.

    Attributes:
        log: Where it writes events, starts and ends.
        pids: All processes so far.
        codes: Exit codes of those that ended; negative: the signal.
    """

    def __init__(self, forks: Forks, number: int, folder: Path) -> None:
        self.log = folder / "log"
        self.pids: list[int] = []
        self.codes: list[int] = []
        self._folder = folder
        self._forks = forks
        self._number = number

    @property
    def pid(self) -> int:
        """The present process."""
        with self._forks.news:
            self._forks.news.wait_for(lambda: self.pids, PATIENCE)
            return self.pids[-1]

    def send(self, number: int) -> None:
        """Send the present process a signal."""
        os.kill(self.pid, number)

    def died(self, times: int = 1) -> list[int]:
        """Wait until so many processes have ended; return their codes."""
        with self._forks.news:
            assert self._forks.news.wait_for(lambda: len(self.codes) >= times, PATIENCE), self.output()
            return list(self.codes)

    def end(self) -> None:
        """Kill the present process, and start no other."""
        with self._forks.news:
            if len(self.codes) < len(self.pids):
                self._forks.tell({"kind": "end", "order": self._number})
                self._forks.news.wait_for(lambda: len(self.codes) == len(self.pids), PATIENCE)

    def output(self) -> str:
        """Return what the processes printed."""
        file = self._folder / "output.txt"
        return file.read_text() if file.exists() else ""

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """Return the lines of a kind that handlers wrote."""
        return lines(self.log, kind)

    def starts(self, job: object) -> list[int]:
        """Return the runs of a job whose handlers were called, in their order."""
        return [line["run"] for line in self.recorded("start") if line["job"] == int(str(job))]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of one name."""
        return [line for line in lines(self.log, "event") if line["name"] == name]


class Forks:
    """The program, and the members that it has started.

    Args:
        modules: Imported before it forks.

    Attributes:
        news: Held when what is known of members is read; notified when there is more.
    """

    def __init__(self, *modules: str) -> None:
        self.news = threading.Condition()
        self._numbers = itertools.count(1)
        self._members: dict[int, Member] = {}
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.poison.program", *modules],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self,
        module: str,
        dsn: str,
        folder: Path,
        *,
        timing: Mapping[str, Any] = BURIED,
        again: bool = False,
        bury: bool = True,
        **options: Any,
    ) -> Member:
        """Start a worker.

        Args:
            module: Its ``application(dsn, log)`` makes the application.
            folder: Where its log goes; several workers may write to one.
            again: Whether another takes its place when it dies.
            bury: Whether that one takes the dead off the list, so that nobody has to wait for the end of a lease.
            options: Of the worker.
        """
        number = next(self._numbers)
        member = self._members[number] = Member(self, number, folder)
        order = {"module": module, "dsn": dsn, "folder": str(folder), "timing": dict(timing), "options": options}
        self.tell({"kind": "start", "order": number, "again": MOST_DEATHS if again else 0, "bury": bury, **order})
        return member

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give the program an order."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()

    def end_all(self) -> None:
        """End the members of a test."""
        for member in self._members.values():
            member.end()
        self._members.clear()

    def close(self) -> None:
        """End the program."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(timeout=PATIENCE)
        self._reader.join()
        assert self._program.stdout is not None
        self._program.stdout.close()

    def _read(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            said = json.loads(line)
            with self.news:
                member = self._members.get(said["order"])
                if member is not None and said["kind"] == "started":
                    member.pids.append(said["pid"])
                elif member is not None:
                    member.codes.append(said["code"])
                self.news.notify_all()


_PROGRAM = pytest.StashKey[Forks]()


@pytest.fixture
def forks(request: pytest.FixtureRequest, dsn: str) -> Iterator[Forks]:
    """Starts workers, which end before their database does; one program serves all folders that import this."""
    config = request.config
    if _PROGRAM not in config.stash:
        config.stash[_PROGRAM] = Forks(*MODULES)
        config.add_cleanup(config.stash[_PROGRAM].close)
    yield config.stash[_PROGRAM]
    config.stash[_PROGRAM].end_all()


def stop(member: Member, number: int = signal.SIGTERM) -> int:
    """Tell a worker to stop; return its exit code."""
    ended = len(member.codes)
    member.send(number)
    return member.died(ended + 1)[ended]
