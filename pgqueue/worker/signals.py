"""Signals while a worker runs as a program.

TERM and INT are steps: the first stops, the next hurries, and when no step is left the next one ends the process at once,
as it would without us. TSTP and CONT switch the taking of jobs off and on.

The steps are counted where Python's own handlers run: between two instructions of whatever blocks the event loop, so
that a process whose loop is blocked can still be ended. What the steps do, they do on the loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Handles signals for the length of a ``with`` block; in another thread than the main one it does nothing.

    Args:
        steps: What the first, second, … TERM or INT does.
        quiet: What TSTP does.
        resume: What CONT does.
    """

    def __init__(
        self, steps: Sequence[Callable[[], None]], quiet: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        self._steps = deque(steps)
        self._others = {signal.SIGTSTP: quiet, signal.SIGCONT: resume}
        self._before: dict[signal.Signals, Any] = {}
        self._pid = os.getpid()

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._loop = asyncio.get_running_loop()
            for number in (*_ENDING, *self._others):
                self._before[number] = signal.getsignal(number)
                self._loop.add_signal_handler(number, _wake)  # a signal may reach a thread that does not run the loop
                signal.signal(number, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a process that a handler forked: the signal is not ours
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number in self._others:
            self._loop.call_soon_threadsafe(self._others[signal.Signals(number)])
        else:
            self._loop.call_soon_threadsafe(self._steps.popleft())
            if not self._steps:
                for ending in _ENDING:
                    signal.signal(ending, signal.SIG_DFL)


def _wake() -> None:
    """The event loop has turned, so Python ran the handler."""
