"""How a plain def is called: in a thread. An async def is awaited where its slot is.

A thread cannot be stopped. When its attempt is over before it is (timeout, cancel, shutdown), it is left behind as a
zombie, and counted until it ends.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread


class Threads:
    """Calls functions in threads; context variables go along.

    Attributes:
        zombies: Threads that run on after their attempt was over.
    """

    def __init__(self) -> None:
        self.zombies = 0
        self._lock = threading.Lock()
        self._limiter: CapacityLimiter | None = None

    async def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> BaseException | None:
        """Call a function in a thread; return what it raised. When this is cancelled the thread goes on as a zombie."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(math.inf)  # the slots are the limit
        call = _ThreadCall(self)
        try:
            return await to_thread.run_sync(
                call.run, function, args, kwargs, abandon_on_cancel=True, limiter=self._limiter
            )
        except asyncio.CancelledError:
            call.leave_behind()
            raise

    def count(self, change: int) -> None:
        """Add to the number of zombies."""
        with self._lock:
            self.zombies += change


class _ThreadCall:
    """One call; knows whether it ended and whether somebody still waits for it."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._ended = False
        self._left_behind = False

    def run(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> BaseException | None:
        """Returns errors, because a future refuses some: StopIteration, GeneratorExit."""
        try:
            function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes an outcome
            return error
        else:
            return None
        finally:
            with self._lock:
                self._ended = True
                if self._left_behind:
                    self._threads.count(-1)

    def leave_behind(self) -> None:
        with self._lock:
            if not self._ended:
                self._left_behind = True
                self._threads.count(1)
