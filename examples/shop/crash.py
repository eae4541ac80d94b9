"""Kills one worker in the middle of its work."""

from __future__ import annotations

import time

from examples.shop.crew import WorkerProcess
from examples.shop.look import Observer, View

LANDING = 0.3  # seconds in which what a frozen worker has already sent to the database is carried out
FEWEST = 2


class Crash:
    """Waits until a worker is busy, freezes it, looks at what it holds, and kills it.

    Args:
        victim: None lets everybody live.
        at: Monotonic second from which on it may happen.
    """

    def __init__(self, victim: WorkerProcess | None, observer: Observer, at: float) -> None:
        self._victim = victim
        self._observer = observer
        self._at = at

    @property
    def is_waiting(self) -> bool:
        """Whether there is still somebody to be killed."""
        return self._victim is not None and self._victim.killed_at is None

    def try_once(self, view: View) -> None:
        """Kill the victim if this is the moment."""
        victim = self._victim
        if victim is None or victim.killed_at is not None or time.monotonic() < self._at:
            return
        running, _ = view.hands.get(victim.pid, (0, 0))
        if running < FEWEST or victim.exit_code is not None:
            return
        victim.freeze()
        time.sleep(LANDING)
        held = self._observer.held_by(victim)
        if len(held) >= FEWEST:
            victim.kill(held)
        else:
            victim.thaw()
