"""with_worker and the ASGI lifespan: applications that have one, have none, or fail; in whatever order the server speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pgqueue import PgQueue
from pgqueue.contrib.asgi import Application, Message, Receive, Scope, Send, with_worker
from tests.support import Watch

COUNT = "select count(*) = %s from pgqueue.worker"


class Server:
    """Speaks the lifespan protocol to an application, as a server does."""

    def __init__(self, app: Application) -> None:
        self.scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.ensure_future(app(self.scope, self._told.get, self._answers.put))

    async def tell(self, what: str) -> Message:
        """Send a message and return the answer."""
        self._told.put_nowait({"type": f"lifespan.{what}"})
        async with asyncio.timeout(20):
            return await self._answers.get()

    async def end(self) -> None:
        """Wait until the application has returned."""
        async with asyncio.timeout(20):
            await self._task

    async def cancel(self) -> None:
        """Give the application up, as a server that is told twice to end does."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=20)
        assert self._task.done()


def refuses(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Be an application like Django's."""
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    """Be an application that ignores what it does not know."""


def starlike(log: list[str], *, fails_at: str = "", raises: bool = False) -> Application:
    """Return an application with a lifespan that notes what it is told and how many jobs could run then."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["by"] = "the application"
        for what in ("startup", "shutdown"):
            message = await receive()
            log.append(message["type"])
            if what == fails_at and raises:
                raise RuntimeError(f"no {what}")
            outcome = "failed" if what == fails_at else "complete"
            await send({"type": f"lifespan.{what}.{outcome}", "message": f"no {what}" if fails_at else ""})
            if outcome == "failed":
                return

    return app


@pytest.fixture
def declared(pgq: PgQueue[None]) -> PgQueue[None]:
    """An application with a task."""

    @pgq.task(name="noop")
    async def noop() -> None: ...

    return pgq


@pytest.mark.parametrize("app", [refuses, returns])
async def test_an_application_without_lifespan_gets_a_worker(app: Any, declared: PgQueue[None], watch: Watch) -> None:
    server = Server(with_worker(app, declared, concurrency=1))
    assert await server.tell("startup") == {"type": "lifespan.startup.complete"}
    await watch.auntil(COUNT, 1)
    assert await server.tell("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.end()
    watch.until(COUNT, 0)


async def test_the_worker_lives_inside_the_lifespan_of_the_application(declared: PgQueue[None], watch: Watch) -> None:
    log: list[str] = []
    declared.events.subscribe(lambda event: log.append(event.name) if event.name.startswith("worker.") else None)
    server = Server(with_worker(starlike(log), declared, concurrency=1))
    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    assert (await server.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
    await server.end()
    order = [
        name for name in log if name in ("lifespan.startup", "worker.started", "worker.stopped", "lifespan.shutdown")
    ]
    assert order == ["lifespan.startup", "worker.started", "worker.stopped", "lifespan.shutdown"]
    assert server.scope["state"] == {"by": "the application"}


async def test_an_application_that_fails_to_start_is_heard_and_no_worker_starts(
    declared: PgQueue[None], watch: Watch
) -> None:
    server = Server(with_worker(starlike([], fails_at="startup"), declared, concurrency=1))
    assert await server.tell("startup") == {"type": "lifespan.startup.failed", "message": "no startup"}
    await server.end()
    watch.until(COUNT, 0)


@pytest.mark.parametrize("raises", [False, True])
async def test_an_application_that_fails_to_stop_is_heard_after_its_worker_has_stopped(
    raises: bool, declared: PgQueue[None], watch: Watch
) -> None:
    server = Server(with_worker(starlike([], fails_at="shutdown", raises=raises), declared, concurrency=1))
    await server.tell("startup")
    await watch.auntil(COUNT, 1)
    assert await server.tell("shutdown") == {"type": "lifespan.shutdown.failed", "message": "no shutdown"}
    await server.end()
    watch.until(COUNT, 0)


def _nowhere(pgq: PgQueue[None]) -> dict[str, Any]:
    pgq._dsn = "postgresql://nobody@127.0.0.1:1/nothing"
    return {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (_nowhere, "PostgreSQL cannot be reached"),
        (lambda _: {"concurrency": 0}, "concurrency=0"),
        (lambda _: {"slots": 3}, "TypeError: "),
    ],
)
async def test_a_worker_that_cannot_start_fails_the_start_and_the_application_is_shut_down(
    options: Callable[[PgQueue[None]], dict[str, Any]], told: str, declared: PgQueue[None]
) -> None:
    log: list[str] = []
    server = Server(with_worker(starlike(log), declared, **options(declared)))
    answer = await server.tell("startup")
    assert answer["type"] == "lifespan.startup.failed"
    assert answer["message"].startswith("The worker did not start. ")
    assert told in answer["message"]
    await server.end()
    assert log == ["lifespan.startup", "lifespan.shutdown"]


async def test_a_server_that_gives_up_on_the_lifespan_still_stops_the_worker(
    declared: PgQueue[None], watch: Watch
) -> None:
    server = Server(with_worker(refuses, declared, concurrency=1))
    await server.tell("startup")
    await server.cancel()
    await watch.auntil(COUNT, 0)


async def test_requests_go_to_the_application_as_they_are(declared: PgQueue[None]) -> None:
    seen: list[tuple[Scope, Receive, Send]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None: ...

    scope: Scope = {"type": "http"}
    await with_worker(app, declared)(scope, receive, send)
    assert seen == [(scope, receive, send)]
