"""The one shape of all background services.

A service never ends the process and never dies silently: an error is told once, and tried again with capped back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any

from pgqueue.telemetry.events import Events

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


def back_off(failures: int) -> float:
    """Return seconds to wait after so many failures in a row: doubling, capped, jittered."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10)) * random.uniform(0.8, 1.2)


class Service:
    """Calls ``run_once`` again and again, after the pause that it asks for or when woken.

    Args:
        events: Where failures are told.
    """

    name = "service"

    def __init__(self, events: Events) -> None:
        self.events = events
        self._woken = asyncio.Event()
        self._halted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self.stopping = False

    async def run_once(self) -> float | None:
        """Do one round; return the seconds until the next, None to wait until woken."""
        raise NotImplementedError

    def status(self) -> Mapping[str, Any]:
        """Return what is worth knowing of it now, in values that JSON has; asked from other threads too."""
        return {}

    @property
    def is_alive(self) -> bool:
        """Whether it was started and still runs."""
        return self._task is not None and not self._task.done()

    @property
    def is_being_cancelled(self) -> bool:
        """Whether somebody cancels its task, as the end of an event loop does."""
        return self._task is not None and self._task.cancelling() > 0

    def start(self) -> None:
        """Begin to run in the background."""
        self._task = asyncio.create_task(self._run(), name=f"pgqueue {self.name}")

    def wake(self) -> None:
        """Run the next round now."""
        self._woken.set()

    async def stop(self) -> None:
        """Finish the present round and end."""
        self.stopping = True
        self._halted.set()
        self.wake()
        if self._task is not None:
            await self._task

    async def cancel(self) -> None:
        """End without finishing the present round."""
        self.stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self.stopping:
            pause = await self._attempt()
            if not self.stopping:
                await self._sleep(pause)

    async def _attempt(self) -> float | None:
        """Do one round; a failure is told and answered with a pause."""
        try:
            pause = await self.run_once()
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - told, and tried again
            self._failures += 1
            pause = back_off(self._failures)
            self.events.tell_failure(self.name, error, pause)
        return pause

    async def _sleep(self, pause: float | None) -> None:
        """Wait until woken; after a failure only a stop cuts the pause short, or whoever wakes would undo the back-off."""
        until = self._halted if self._failures else self._woken
        if pause != 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await until.wait()
        else:
            await asyncio.sleep(0)
        self._woken.clear()
