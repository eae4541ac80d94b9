"""Real ``pgqueue worker`` processes, ended with their test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.worker.crew import lines

NOTHING: Mapping[str, str] = {}


class Programs:
    """Starts the command; all processes write to one log.

    Args:
        dsn: Their database.
        folder: Where the log goes.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        self._environment = {**os.environ, "PGQUEUE_DSN": dsn, "RUNNING_LOG": str(folder / "log")}
        self._log = folder / "log"
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, *options: str, environment: Mapping[str, str] = NOTHING, application: str = "tests.running.application"
    ) -> subprocess.Popen[str]:
        """Run ``pgqueue worker`` in a session of its own, as a terminal or a service manager does."""
        program = subprocess.Popen(
            [sys.executable, "-m", "pgqueue", "worker", application, *options],
            cwd=ROOT,
            env={**self._environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(program)
        return program

    def events(self, name: str, pid: int | None = None) -> list[dict[str, Any]]:
        """Return the events of one name, of one process or of all."""
        return [e for e in lines(self._log, "event") if e["name"] == name and pid in (None, e["pid"])]

    def pids(self, kind: str) -> list[int]:
        """Return who wrote lines of a kind."""
        return [line["pid"] for line in lines(self._log, kind)]

    def end(self) -> None:
        """Kill whatever still runs."""
        for program in self._started:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            assert program.stderr is not None
            program.stderr.close()
        for pid in set(self.pids("import")) if self._log.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def read_until(program: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read what a program prints until a line matches."""
    assert program.stderr is not None
    seen = []
    for line in program.stderr:
        seen.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"It ended with {program.wait()} and never printed {pattern!r}: {''.join(seen)}")
