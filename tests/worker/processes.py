"""Worker processes of a test, ended with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support import ROOT
from tests.worker.crew import GATE, TABLES, lines

DEFAULT: Mapping[str, float] = {}
SHORT = {"beat": 0.2, "lease": 1.0, "sweep": 0.2}


class Crew:
    """Starts worker processes; all write to one log.

    Args:
        dsn: Their database.
        folder: Where the log goes.
        direct: The same database past a pooler, for their records; None: there is none.
    """

    def __init__(self, dsn: str, folder: Path, direct: str | None = None) -> None:
        self._dsn = dsn
        self._direct = direct or dsn
        self._folder = folder
        self.log = folder / "crew.log"
        self._members: list[subprocess.Popen[bytes]] = []

    def start(
        self, timing: Mapping[str, float] = DEFAULT, *, concurrency: int = 10, dsn: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        options = [
            "--direct",
            self._direct,
            "--log",
            str(self.log),
            "--concurrency",
            str(concurrency),
            "--timing",
            json.dumps(dict(timing)),
        ]
        with (self._folder / "output.txt").open("ab") as output:
            member = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.crew", dsn or self._dsn, *options],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        self._members.append(member)
        return member

    def output(self) -> str:
        """Return what the processes printed."""
        return (self._folder / "output.txt").read_text()

    def recorded(self, kind: str) -> list[tuple[int, int]]:
        """Return (job, run) of each recorded start or end."""
        return [(line["job"], line["run"]) for line in lines(self.log, kind)]

    def events(self, name: str, member: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        """Return a process's events of one name."""
        return [e for e in lines(self.log, "event") if e["name"] == name and e["pid"] == member.pid]

    def end(self) -> None:
        """Kill whatever still runs."""
        for member in self._members:
            if member.poll() is None:
                member.kill()
            member.wait()


@contextmanager
def closed_gate(dsn: str) -> Iterator[psycopg.Connection]:
    """Hold the crew's gate; make the tables of their records. Closing the connection opens the gate."""
    with psycopg.connect(dsn, autocommit=True) as keeper:
        for table in TABLES:
            keeper.execute(table)
        keeper.execute("select pg_advisory_lock(%s)", (GATE,))
        yield keeper


def stop(member: subprocess.Popen[bytes], number: int = signal.SIGTERM, timeout: float = 20) -> int:
    """Tell a process to stop and return its exit code."""
    member.send_signal(number)
    return member.wait(timeout=timeout)
