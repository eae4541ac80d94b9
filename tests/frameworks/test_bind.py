"""A bound transaction ends with its block, also for what the request has started."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pgqueue import HandleError, PgQueue, Task

ROUNDS = 20


def declared(pgq: PgQueue[None]) -> Task[[], None]:
    @pgq.task(name="note")
    async def note() -> None: ...

    return note


def test_a_thread_with_the_context_of_a_request_that_has_ended_is_refused(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    """A thread may get the number of the one that bound, after that has ended."""
    note, contexts, refused = declared(pgq), [], 0

    def request() -> None:
        with pgq.bind(database):
            contexts.append(contextvars.copy_context())

    def background() -> None:
        nonlocal refused
        try:
            contexts[-1].run(note.enqueue)
        except HandleError:
            refused += 1

    for _ in range(ROUNDS):
        for work in (request, background):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert refused == ROUNDS


async def test_a_task_with_the_context_of_a_request_that_has_ended_is_refused(pgq: PgQueue[None], dsn: str) -> None:
    """A task may be where the one that bound was, after that has ended."""
    note, refused = declared(pgq), 0

    async def enqueue() -> None:
        nonlocal refused
        try:
            await note.aenqueue()
        except HandleError:
            refused += 1

    async def background(over: asyncio.Event) -> None:
        await over.wait()
        for _ in range(ROUNDS):
            await asyncio.create_task(enqueue())

    async def request(connection: object, over: asyncio.Event) -> list[asyncio.Task[None]]:
        with pgq.bind(connection):  # type: ignore[arg-type]
            return [asyncio.create_task(background(over))]

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for _ in range(ROUNDS):
            over = asyncio.Event()
            [started] = await asyncio.create_task(request(connection, over))
            over.set()
            await started
    assert refused == ROUNDS * ROUNDS


async def test_what_a_middleware_in_a_task_of_its_own_binds_is_refused_in_the_endpoint(
    pgq: PgQueue[None], dsn: str
) -> None:
    note = declared(pgq)

    async def endpoint(request: Request) -> Response:
        try:
            return PlainTextResponse((await note.aenqueue()).id)
        except HandleError as error:
            return PlainTextResponse(error.problem)

    async def bind(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pgq.bind(connection):
                return await call_next(request)

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=bind)])
    assert (await got(app)).startswith("The transaction was bound in another thread or asyncio task")


async def got(app: Starlette) -> str:
    """Call an application as a server does, and return the body of the answer."""
    body = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return body.decode()
