"""A run in a child process: what its handler asks for goes over the line to the worker."""

from __future__ import annotations

import asyncio
import itertools
import json
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from pgqueue.backend import Completer, Ending
from pgqueue.model.clock import monotonic
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payload import CallShape
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Handle
from pgqueue.worker.loops import is_in_a_loop
from pgqueue.worker.run import ANYTHING, blocking, checked, logger_of, undone
from pgqueue.worker.wire import Line, Message, error_of


class ChildRun:
    """The run of a job as its handler sees it in a child process; implements ``tasks.Run``.

    Args:
        order: The worker's message that handed the job out.
        job: Its job.
        shape: The task's signature.
        payloads: How results are stored.
        completer: Ends jobs in their handlers' own transactions.
        line: To the worker.

    Attributes:
        completed: Whether the handler has ended the job in a transaction of its own.
    """

    def __init__(
        self,
        order: Message,
        job: ClaimedJob,
        shape: CallShape,
        payloads: Payloads,
        completer: Completer,
        line: Line,
    ) -> None:
        self.turn: int = order["turn"]
        self.job = job
        self.resumed: Any = order["resumed"]
        self.deadline = datetime.fromisoformat(order["deadline"])
        self.logger = logger_of(job)
        self.cancelled = False
        self.completed = False
        self._began = monotonic()
        self._completer = completer
        self._shape = shape
        self._payloads = payloads
        self._line = line
        self._calls: dict[int, Future[None]] = {}
        self._numbers = itertools.count(1)

    def progress(self, done: float | None, note: str | None) -> None:
        """Note how far it is."""
        checked(self.job, done, note)
        self._line.send({"kind": "progress", "turn": self.turn, "done": done, "note": note})

    def result(self, value: Any) -> None:
        """Keep a result, whatever becomes of the run."""
        text = self._payloads.result(self._shape, value)
        self._line.send({"kind": "result", "turn": self.turn, "text": text})

    def checkpoint(self, value: Any) -> None:
        """Store where a later run may go on; the worker answers when it is durable."""
        if is_in_a_loop():
            raise blocking()
        self._ask("checkpoint", value).result()

    async def acheckpoint(self, value: Any) -> None:
        """As ``checkpoint``."""
        await asyncio.wrap_future(self._ask("checkpoint", value))

    def complete(self, handle: object, bind: object, result: Any) -> None:
        """End the job in the handle's transaction."""
        self._settle(self._completer.complete(Handle(handle, bind), self._ending(result)))

    async def acomplete(self, handle: object, bind: object, result: Any) -> None:
        """As ``complete``."""
        self._settle(await self._completer.acomplete(Handle(handle, bind), self._ending(result)))

    def answer(self, message: Message) -> None:
        """Take the worker's answer to a call."""
        call = self._calls.pop(message["call"], None)
        if call is not None and call.set_running_or_notify_cancel():
            if message["error"] is None:
                call.set_result(None)
            else:
                call.set_exception(error_of(message["error"]))

    def _ending(self, result: Any) -> Ending:
        job, text = self.job, self._payloads.result(self._shape, result)
        return Ending(job.id, job.run, job.lease, monotonic() - self._began, text)

    def _settle(self, done: bool) -> None:
        if not done:
            raise undone(self.job, completed=self.completed)
        self.completed = True
        self._line.send({"kind": "completed", "turn": self.turn})

    def _ask(self, kind: str, value: Any) -> Future[None]:
        number, call = next(self._numbers), Future[None]()
        message = {"kind": kind, "turn": self.turn, "call": number, "value": self._plain(value)}
        self._calls[number] = call
        self._line.send(message)
        return call

    def _plain(self, value: Any) -> Any:
        """Return a value that JSON can carry to the worker; refused is here what is refused in every executor."""
        self._payloads.result(ANYTHING, value)
        return json.loads(ANYTHING.encode_result(value) or "null")
