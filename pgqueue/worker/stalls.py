"""A handler that blocks the event loop holds up what is buffered, too: the heartbeat's thread hands that back.

The loop counts as held up when it has not turned for a second, seen twice: a process that was stopped as a whole is not.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

from pgqueue.backend import Answer, Heart, Outcome
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker import calls, slots
from pgqueue.worker.state import WorkerState

HELD_UP_SECONDS = 1.0
LOOK_SECONDS = 0.5
_CALLERS = {calls.__file__, slots.__file__}  # what calls handlers


class Stalls:
    """Looks at the event loop from a thread.

    Args:
        take_back: Returns the jobs that no slot has taken; they are nobody's then.
        given: Called on the event loop with what was handed back and the answers; None: it could not be written.
        call: Calls a function on the event loop.
    """

    def __init__(
        self,
        state: WorkerState,
        heart: Heart,
        take_back: Callable[[], Sequence[ClaimedJob]],
        given: Callable[[Sequence[Outcome], Sequence[Answer] | None], None],
        call: Callable[..., None],
        thread: int,
        events: Events,
    ) -> None:
        self._state = state
        self._heart = heart
        self._take_back = take_back
        self._given = given
        self._call = call
        self._thread = thread
        self._events = events
        self._seen = 0
        self._last_look = state.clock()

    def look(self) -> None:
        """See whether the loop turns; when it is held up, hand back what it holds up."""
        now = self._state.clock()
        stopped, self._last_look = now - self._last_look > 2 * LOOK_SECONDS, now
        if now - self._state.turned < HELD_UP_SECONDS or stopped or not self._state.turned:
            self._seen = 0
            return
        self._seen += 1
        if self._seen < 2:
            return
        if self._seen == 2:
            self._events.emit("loop.blocked", seconds=round(now - self._state.turned, 1), where=self._where())
        self._hand_back()

    def _hand_back(self) -> None:
        jobs = self._take_back()
        if not jobs:
            return
        outcomes = [Outcome(job.id, job.run, job.lease, "release", 0.0, None, None) for job in jobs]
        answers: list[Answer] | None = None
        try:
            answers = self._heart.give_back(self._state.info.id, outcomes, self._state.clock())
        finally:
            self._call(self._given, outcomes, answers)

    def _where(self) -> str:
        """Return the handler's line that the event loop's thread is at, and what that is waiting in."""
        frame = sys._current_frames().get(self._thread)
        if frame is None:
            return "unknown"
        stack = traceback.extract_stack(frame)
        ours = max((number for number, one in enumerate(stack) if one.filename in _CALLERS), default=-1)
        handler, last = stack[min(ours + 1, len(stack) - 1)], stack[-1]
        if ours < 0 or handler is last:
            return _line(last)
        return f"{_line(handler)}, there {_line(last)}"


def _line(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename}:{frame.lineno} in {frame.name}"
