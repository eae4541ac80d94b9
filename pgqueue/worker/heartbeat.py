"""The heartbeat says that the worker lives, from a thread and a connection of its own that no handler can hold up.

An acknowledged beat covers the worker for the length of a lease from the moment it was sent. The answer also tells which
leases the database knows, which jobs were cancelled, and whether somebody took this worker for dead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from anyio import to_thread

from pgqueue.backend import Answer, Heart, Outcome, Pulse
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker.service import back_off
from pgqueue.worker.stalls import LOOK_SECONDS, Stalls
from pgqueue.worker.state import WorkerState


class Heartbeat:
    """Beats until stopped; has the shape of a service, on a thread.

    Args:
        felt: Called on the event loop with each answer and the worker's id that it was for.
        take_back, given: See ``Stalls``.
    """

    name = "heartbeat"

    def __init__(
        self,
        state: WorkerState,
        heart: Heart,
        felt: Callable[[int, Pulse], None],
        take_back: Callable[[], Sequence[ClaimedJob]],
        given: Callable[[Sequence[Outcome], Sequence[Answer] | None], None],
        events: Events,
    ) -> None:
        self._state = state
        self._heart = heart
        self._felt = felt
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._due = threading.Event()
        self._stopping = False
        self._failures = 0
        self._stalls = Stalls(state, heart, take_back, given, self._call, threading.get_ident(), events)
        self._thread = threading.Thread(target=self._run, name="pgqueue heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Beat now."""
        self._due.set()

    def run_once(self) -> float:
        """Beat once; return the seconds until the next beat."""
        sent, worker = self._state.clock(), self._state.info.id
        pulse = self._heart.beat(worker)
        if pulse.alive and worker == self._state.info.id:
            self._state.lease_until = sent + self._state.timing.lease
        self._call(self._felt, worker, pulse)
        return self._state.timing.beat

    async def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self.wake()
        await to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        while not self._stopping:
            try:
                pause = self.run_once()
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - told, and tried again
                self._failures += 1
                pause = min(back_off(self._failures), self._state.timing.beat)
                self._call(self._events.tell_failure, self.name, error, pause)
            self._rest(pause)
        self._heart.close()

    def _rest(self, pause: float) -> None:
        """Wait for the next beat, and look at the event loop meanwhile."""
        until = self._state.clock() + pause
        while (left := until - self._state.clock()) > 0 and not self._due.wait(min(left, LOOK_SECONDS)):
            try:
                self._stalls.look()
            except Exception as error:  # noqa: BLE001 - told; the beat goes on
                self._call(self._events.tell_failure, "stalls", error)
        self._due.clear()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the event loop is gone
            self._loop.call_soon_threadsafe(function, *arguments)
