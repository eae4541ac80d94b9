"""Who kills the children's process groups when the worker is killed: a small process that outlives it.

A child sees by itself that its worker is gone, but not while a handler holds the GIL; and the kernel's own signal for that
case, which a child asks for on Linux (PR_SET_PDEATHSIG), kills the child alone, not the programs that its handlers have
started.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterable

# Each line is all groups of that moment; after the last line, when nobody can write any more, they are killed.
_SCRIPT = """
trap '' INT TERM HUP
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class Guard:
    """The process, where the system has a shell; without one, children look after themselves."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def watch(self, groups: Iterable[int]) -> None:
        """Name the groups to kill when this process is gone, instead of those named before."""
        self._start()
        self._tell(groups)

    def stop(self) -> None:
        """Let it end and kill nothing."""
        self._is_over = True
        if self._process is not None:
            self._tell(())
            self._hang_up()

    def _tell(self, groups: Iterable[int]) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write((" ".join(map(str, groups)) + "\n").encode())
                self._process.stdin.flush()

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _start(self) -> None:
        """Start it, also again when somebody has killed it."""
        if self._is_over or (self._process is not None and self._process.poll() is None):
            return
        self._hang_up()
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait_for(self._process)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        """Reap it when it ends; where no thread can wait for that, do without one."""
        try:
            threading.Thread(target=process.wait, name="pgqueue guard", daemon=True).start()
        except RuntimeError:
            process.kill()
            process.wait()
