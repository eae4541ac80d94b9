"""How a plain def is called: in a thread. An async def is awaited where its slot is.

A thread cannot be stopped. When its attempt is over before it is (timeout, cancel, shutdown), it is left behind as a
zombie, and counted until it ends. The threads are daemons: those of the standard library and of anyio are joined at the
end of the process, which a zombie would hold up for as long as it pleases, although its job was handed back.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any


class Threads:
    """Calls functions in threads, as many as are needed; an idle one is used again.

    Attributes:
        zombies: Threads that run on after their attempt was over.
    """

    def __init__(self) -> None:
        self.zombies = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()

    async def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, BaseException | None]:
        """Call a function in a thread; return what it returned and what it raised.

        When this is cancelled the thread goes on as a zombie.
        """
        call = _Call(lambda: function(*args, **kwargs))
        self._provide()
        self._calls.put(call)
        try:
            return await call.future
        except asyncio.CancelledError:
            with self._lock:
                call.left_behind = not call.ended
                if call.left_behind:
                    self.count(1)
            raise

    def count(self, change: int) -> None:
        """Add to the number of zombies; the lock is held."""
        self.zombies += change

    def stop(self) -> None:
        """End the idle threads."""
        with self._lock:
            for _ in range(self._idle):
                self._calls.put(None)
            self._idle = 0

    def _provide(self) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
                return
        threading.Thread(target=self._serve, name="pgqueue slot", daemon=True).start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            ended = call.run()
            with self._lock:
                call.ended = True
                self._idle += 1
                if call.left_behind:
                    self.count(-1)
            call.answer(ended)


class _Call:
    """One call and whoever waits for it; context variables go along."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.ended = False
        self.left_behind = False
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[tuple[Any, BaseException | None]] = self._loop.create_future()
        self._function = function
        self._context = contextvars.copy_context()

    def run(self) -> tuple[Any, BaseException | None]:
        """Call; errors are returned, because a future refuses some: StopIteration, GeneratorExit."""
        try:
            return self._context.run(self._function), None
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes an outcome
            return None, error

    def answer(self, ended: tuple[Any, BaseException | None]) -> None:
        """Wake whoever waits."""
        with suppress(RuntimeError):  # the event loop is gone
            self._loop.call_soon_threadsafe(self._resolve, ended)

    def _resolve(self, ended: tuple[Any, BaseException | None]) -> None:
        if not self.future.done():
            self.future.set_result(ended)
