"""A worker inside an ASGI application, also where the application has no lifespan, such as Django's.

Source of the rules: the ASGI specification, "Lifespan Protocol". An application that raises when it is called with the scope
"lifespan" has none, and its server goes on without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from pgqueue.app import PgQueue
from pgqueue.model.errors import PgQueueError, message_of

RETURN_SECONDS = 1.0
logger = logging.getLogger("pgqueue")

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def with_worker(app: Application, pgq: PgQueue[Any], **options: Any) -> Application:
    """Return an application that does what ``app`` does, with a worker inside.

    The worker starts after the application's own startup, and stops before its shutdown. Each process of the server has
    one, made in that process. One that cannot start fails the server's start.

    Args:
        options: As for ``pgq.worker``.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _Lifespan(_Inner(app, scope), pgq, options).run(receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


class _Inner:
    """The lifespan of the application itself, in a task of its own."""

    def __init__(self, app: Application, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._has_started = False

    async def startup(self) -> Message:
        """Start it; return its answer, or that all is well where it has no lifespan."""
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        self._has_started = answer is not None
        return answer or {"type": "lifespan.startup.complete"}

    async def shutdown(self) -> Message:
        """Stop it; return its answer."""
        return await self._ask("lifespan.shutdown") or {"type": "lifespan.shutdown.complete"}

    async def end(self) -> None:
        """Let it return, which it does at once after a shutdown."""
        assert self._task is not None
        await asyncio.wait({self._task}, timeout=RETURN_SECONDS)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _ask(self, message: str) -> Message | None:
        assert self._task is not None
        self._told.put_nowait({"type": message})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._told.get, self._answers.put)
        except Exception as error:
            if not self._has_started:
                logger.info("The application has no lifespan: %s", message_of(error))
            else:
                logger.exception("The lifespan of the application failed.")
                await self._answers.put({"type": "lifespan.shutdown.failed", "message": message_of(error)})


class _Lifespan:
    """The server's startup and shutdown: the application, and the worker inside it."""

    def __init__(self, inner: _Inner, pgq: PgQueue[Any], options: dict[str, Any]) -> None:
        self._inner = inner
        self._pgq = pgq
        self._options = options

    async def run(self, receive: Receive, send: Send) -> None:
        """Answer the server."""
        await receive()
        started = await self._inner.startup()
        try:
            if started["type"] == "lifespan.startup.failed":
                await send(started)
            else:
                await self._start(started, receive, send)
        finally:
            await self._inner.end()

    async def _start(self, started: Message, receive: Receive, send: Send) -> None:
        try:
            worker = self._pgq.worker(**self._options)
            await worker.start()
        except Exception as error:  # noqa: BLE001 - raised, it would mean that there is no lifespan
            told = (
                message_of(error) if isinstance(error, PgQueueError) else f"{type(error).__name__}: {message_of(error)}"
            )
            await self._inner.shutdown()
            await send({"type": "lifespan.startup.failed", "message": f"The worker did not start. {told}"})
            return
        try:
            await send(started)
            await receive()
        finally:
            await worker.stop()
        ended = await self._inner.shutdown()
        await self._pgq.aclose()
        await send(ended)
