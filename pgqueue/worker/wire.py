"""What a worker and its child processes say to each other: JSON objects, before each its length in four bytes.

JSON and not pickle: arguments are stored as JSON anyway, and what a broken child writes can be read without running it.
Each message that is about a run carries its ``turn``, the number of the order within the child, so that what comes late
is told from what is about the present one.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from pgqueue.model import errors
from pgqueue.model.errors import BackendUnavailable, ChildDied, HandleError, InvalidPayload, PgQueueError, message_of
from pgqueue.model.job import ClaimedJob

Message: TypeAlias = dict[str, Any]

LARGEST = 4 * 1024 * 1024  # bytes of what a child says; results and checkpoints have 64 KiB, log records are cut
LOOK_SECONDS = 1.0  # a child looks so often whether its parent is still there
_NO_MESSAGE = "wrote what is no message where it speaks to the worker"
_HEAD = struct.Struct("!I")


def pack(message: Mapping[str, Any]) -> bytes:
    """Return a message as bytes."""
    body = json.dumps(message).encode()
    return _HEAD.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """Wait for a child's next message; None when there will be none.

    Raises:
        ChildDied: What came is no message.
    """
    try:
        (length,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if length > LARGEST:
            raise garbled(_NO_MESSAGE)
        return _parsed(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None


def _parsed(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise garbled(_NO_MESSAGE) from None
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise garbled(_NO_MESSAGE)
    return message


def garbled(problem: str) -> ChildDied:
    """Return our error for a child that does not speak as it should, and has to be killed."""
    return ChildDied(
        f"The child process {problem}, and was killed.",
        "Let the handler leave descriptors alone that it did not open.",
    )


class Line:
    """The child's end: blocking, for several threads to send and one to receive.

    Args:
        end: The socket.
        parent: Process id of the worker; when another one is the parent, the worker is gone.
    """

    def __init__(self, end: socket.socket, parent: int) -> None:
        end.set_inheritable(False)  # programs that a handler starts have no business here
        self._socket = end
        self._parent = parent
        self._owner = os.getpid()
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether this is the process that the worker started, not one that a handler forked."""
        return os.getpid() == self._owner

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; if the worker is gone, so will this process be.

        Raises:
            HandleError: This is a process that a handler forked.
            InvalidPayload: It is larger than the worker takes; nothing was sent.
        """
        if not self.is_open:
            raise HandleError(
                "The context of a job was used in a process that its handler forked.",
                "Use it in the handler's own process.",
            )
        packed = pack(message)
        if len(packed) - _HEAD.size > LARGEST:
            raise InvalidPayload(
                f"A message of {len(packed)} bytes does not pass from a child process to its worker, at most {LARGEST} do.",
                "Store the data elsewhere and pass its key.",
            )
        try:
            with self._lock:
                self._socket.sendall(packed)
        except OSError:
            pass

    def receive(self) -> Message | None:
        """Wait for the worker's next message; None when it hung up or is gone."""
        ready = select.poll()
        try:
            ready.register(self._socket, select.POLLIN)
            while not ready.poll(LOOK_SECONDS * 1000):
                if os.getppid() != self._parent:  # somebody else may still hold the worker's end
                    return None
            (length,) = _HEAD.unpack(self._exactly(_HEAD.size))
            return _parsed(self._exactly(length))
        except (OSError, ValueError, EOFError):
            return None

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            part = self._socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def job_message(job: ClaimedJob) -> Message:
    """Return a job as JSON holds it; what is an instant stands apart."""
    facts: Message = dict(job._asdict())
    instants = {name: value.isoformat() for name, value in facts.items() if isinstance(value, datetime)}
    return {"facts": {name: value for name, value in facts.items() if name not in instants}, "instants": instants}


def job_of(message: Message) -> ClaimedJob:
    """Return the job of a message."""
    facts: Message = message["facts"]
    instants = {name: datetime.fromisoformat(value) for name, value in message["instants"].items()}
    return ClaimedJob(**{**facts, **instants})


def error_message(error: BaseException) -> Message:
    """Return an error of the worker as JSON, to be raised in the child."""
    if isinstance(error, PgQueueError):
        return {"type": type(error).__name__, "problem": error.problem, "remedy": error.remedy}
    problem = f"The worker could not do it ({type(error).__name__}: {message_of(error)})."
    return {"type": BackendUnavailable.__name__, "problem": problem, "remedy": "Try again later."}


def error_of(message: Message) -> PgQueueError:
    """Return the error of a message."""
    kind = getattr(errors, message["type"], PgQueueError)
    try:
        error: PgQueueError = kind(message["problem"], message["remedy"])
    except TypeError:  # one that needs more than its sentences
        error = PgQueueError(message["problem"], message["remedy"])
    return error
