"""The two worker processes, as anybody would start them, and the end of one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "-m pgqueue worker examples.shop.tasks:pgq -q mail -q pictures -q payments -c 16 --stop-timeout 10s".split()  # noqa: SIM905 - as it is typed
)
PATIENCE = 20.0


class WorkerProcess:
    """One worker and its log.

    Attributes:
        killed_at: Monotonic second at which it was killed, None while it was not.
        held: Ids of the jobs that it held then.
    """

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.killed_at: float | None = None
        self.held: tuple[str, ...] = ()
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches the demonstration, which then stops its workers in order.
            self._process = subprocess.Popen(
                [sys.executable, *COMMAND],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether it ended although nobody wanted it to."""
        return self.killed_at is None and self.exit_code not in (None, 0)

    def freeze(self) -> None:
        """Stop the process where it stands, so that what it holds can be read."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self, held: tuple[str, ...]) -> None:
        """Kill it, now."""
        self._process.kill()
        self._process.wait()
        self.killed_at = time.monotonic()
        self.held = held

    def ask_to_stop(self) -> None:
        """Send TERM, to which a worker finishes its jobs and signs off."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)
            self.thaw()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; kill it when it does not."""
        try:
            self._process.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Crew:
    """Both workers."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.workers: list[WorkerProcess] = []
        self._environment = environment
        self._folder = folder

    def start(self) -> None:
        """Start both."""
        for name in ("one", "two"):
            self.workers.append(WorkerProcess(name, self._environment, self._folder / f"worker-{name}.log"))

    def stop(self) -> None:
        """Stop what still runs, at once, and wait for it; leaves no process behind."""
        deadline = time.monotonic() + PATIENCE
        for worker in self.workers:
            worker.ask_to_stop()
        for worker in self.workers:
            worker.wait(deadline - time.monotonic())

    @property
    def failed(self) -> bool:
        """Whether a worker ended although nobody wanted it to."""
        return any(worker.failed for worker in self.workers)
