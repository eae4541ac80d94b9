# pyright: strict
"""Uses that type checkers must refuse, each on the marked line.

Those given to ``wrong`` are made at run time too, where each must end in one clear error.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from pgqueue import Job, JobContext, PgQueue, RetryPolicy, Unique

pgq = PgQueue()


@pgq.task(queue="email")
async def send(user_id: int, email: str = "", *, copies: int = 1) -> str:
    return f"{user_id}{email}{copies}"


@pgq.task(context=True)
def resize(context: JobContext, path: str, quality: int = 80) -> bytes:
    return f"{context.id}{path}{quality}".encode()


MISTAKES: list[Callable[[], object]] = []


def wrong(mistake: Callable[[], object]) -> None:
    """Keep a mistake, to be made at run time."""
    MISTAKES.append(mistake)


def some_function() -> None: ...


def of_a_route(context: JobContext[None], args: object) -> None: ...


wrong(lambda: send.enqueue("wrong type"))  # expect error
wrong(lambda: send.enqueue())  # expect error  # noqa: PLW0108 - as a caller writes it
wrong(lambda: send.enqueue(1, "a", 2))  # expect error
wrong(lambda: send.enqueue(1, mail="a"))  # expect error
wrong(lambda: send.enqueue(1, copies="2"))  # expect error
wrong(lambda: send.enqueue(None))  # expect error
wrong(lambda: send.enqueue(1.5))  # expect error
wrong(lambda: send.enqueue([1]))  # expect error
wrong(lambda: send.job("wrong type"))  # expect error
wrong(lambda: send.using(priority=1).enqueue("wrong type"))  # expect error
wrong(lambda: resize.enqueue("/a.png", "80"))  # expect error
wrong(lambda: resize.enqueue(80))  # expect error
wrong(lambda: send.using(que="x"))  # expect error
wrong(lambda: send.using(priority="high"))  # expect error
wrong(lambda: send.using(run_at="tomorrow"))  # expect error
wrong(lambda: send.using(delay=datetime(2030, 1, 1)))  # expect error
wrong(lambda: send.using(tags=5))  # expect error
wrong(lambda: send.using(headers={"a": 1}))  # expect error
wrong(lambda: send.using("postgresql://").enqueue(1))  # expect error
wrong(lambda: send.using(None).enqueue(1))  # expect error
wrong(lambda: pgq.using("postgresql://").enqueue_many([send.job(1)]))  # expect error
wrong(lambda: pgq.enqueue_many([send]))  # expect error
wrong(lambda: pgq.enqueue_many(["send"]))  # expect error
wrong(lambda: pgq.enqueue_many([send.enqueue]))  # expect error
wrong(lambda: pgq.enqueue_many(send.job(1)))  # expect error
wrong(lambda: pgq.task(executor="fork")(some_function))  # expect error
wrong(lambda: pgq.task(priority="high")(some_function))  # expect error
wrong(lambda: pgq.task(queue=5)(some_function))  # expect error
wrong(lambda: RetryPolicy(max_retries="3"))  # expect error
wrong(lambda: RetryPolicy(give_up_on=(5,)))  # expect error
wrong(lambda: RetryPolicy(retry_on=OSError))  # expect error
wrong(lambda: RetryPolicy(backoff="2s"))  # expect error
wrong(lambda: RetryPolicy(delay=lambda retried: 5))  # expect error
wrong(lambda: send.on_dead(lambda context: None))  # expect error
wrong(lambda: send.using(expires_at="1h"))  # expect error
wrong(lambda: pgq.worker(weights=["default"]))  # expect error
wrong(lambda: pgq.worker(limits=["default"]))  # expect error
wrong(lambda: pgq.worker(limits={"default": "2"}))  # expect error
wrong(lambda: pgq.worker(strict="yes"))  # expect error
wrong(lambda: pgq.worker(max_jobs="10"))  # expect error
wrong(lambda: pgq.worker(children="2"))  # expect error
wrong(lambda: pgq.task(limit="2")(some_function))  # expect error
wrong(lambda: pgq.task(expires_in=datetime(2030, 1, 1))(some_function))  # expect error
wrong(lambda: pgq.route(5)(of_a_route))  # expect error
wrong(lambda: pgq.route("image:", limit="2")(of_a_route))  # expect error
wrong(lambda: pgq.route("image:", queue="images"))  # expect error
wrong(lambda: pgq.middleware(5))  # expect error
wrong(lambda: pgq.on_dead("gone"))  # expect error
wrong(lambda: pgq.named(5))  # expect error
wrong(lambda: pgq.named("image:rotate").using(que="x"))  # expect error


def called_with_the_context() -> None:
    nobody: Any = None
    context = JobContext[None](nobody)
    resize.enqueue(context, "/a.png")  # expect error


def declared_with_an_unknown_option() -> None:
    @pgq.task(unknown=1)  # expect error
    def unknown(path: str) -> None: ...


async def said_wrong(context: JobContext[None], session: Session, connection: psycopg.AsyncConnection) -> None:
    context.progress("half")  # expect error
    context.progress(0.5, 7)  # expect error
    context.complete(connection)  # expect error
    await context.acomplete(session)  # expect error
    context.complete()  # expect error
    context.cancelled = True  # expect error
    seconds: float = context.deadline  # expect error
    print(context.deps.greeting)  # expect error
    print(seconds)


def declared_without_a_context() -> None:
    @pgq.task(context=True)  # expect error
    def without(path: str) -> None: ...


wrong(called_with_the_context)
wrong(declared_with_an_unknown_option)


def synchronous(connection: psycopg.Connection, session: Session, core: Connection) -> None:
    send.using(connection).aenqueue(1)  # expect error
    send.using(session).aenqueue(1)  # expect error
    send.using(core).aenqueue(1)  # expect error
    send.using(session).enqueue("wrong type")  # expect error
    send.using(session, que="x").enqueue(1)  # expect error
    send.using(session, delay=object()).enqueue(1)  # expect error
    pgq.using(session).aenqueue_many([])  # expect error
    pgq.using(session).enqueue_many([send])  # expect error


async def asynchronous(connection: psycopg.AsyncConnection, session: AsyncSession, core: AsyncConnection) -> None:
    send.using(connection).enqueue(1)  # expect error
    send.using(session).enqueue(1)  # expect error
    send.using(core).enqueue(1)  # expect error
    await send.using(session).aenqueue("wrong type")  # expect error
    await send.using(session).aenqueue()  # expect error
    await send.using(session, que="x").aenqueue(1)  # expect error
    pgq.using(session).enqueue_many([])  # expect error
    await pgq.using(session).aenqueue_many([send])  # expect error
    await resize.using(session).aenqueue("/a.png", quality="80")  # expect error


def wrong_bulk(jobs: list[Job[int]]) -> None:
    ids: list[int] = pgq.enqueue_many([], returning="ids")  # expect error
    pgq.enqueue_many([], returning="everything")  # expect error
    pgq.enqueue_many([], progress=3)  # expect error
    send.using(key=3).enqueue(1)  # expect error
    Unique(scope="for ever")  # expect error
    result: int = send.enqueue(1).result()  # expect error
    gathered: list[str] = pgq.gather(jobs)  # expect error
    pgq.bind("postgresql://")  # expect error
    print(ids, result, gathered)


def wrong_results() -> None:
    number: int = send.enqueue(1).id  # expect error
    job: str = send.enqueue(1)  # expect error
    print(send.enqueue(1).nothing)  # expect error
    print(number, job)
