# pyright: strict
"""Uses of the public API that type checkers must accept, and what they must infer. Never executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type, reveal_type

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgqueue import (
    AsyncTask,
    Exponential,
    GiveUp,
    Job,
    JobContext,
    JobSpec,
    JobState,
    PgQueue,
    RetryPolicy,
    SyncTask,
    Unique,
    current,
)


class Deps:
    """What an application injects."""

    def __init__(self) -> None:
        self.greeting = "Hello"


pgq = PgQueue()
assert_type(pgq, PgQueue[None])
injected = PgQueue("postgresql://localhost/shop", schema="jobs", deps=Deps)
assert_type(injected, PgQueue[Deps])


@pgq.task(queue="email", retry=RetryPolicy(max_retries=3, give_up_on=(ValueError,)), timeout="10m")
async def send(user_id: int, email: str = "", *, copies: int = 1) -> str:
    return f"{user_id}{email}{copies}"


@pgq.task
def plain(path: str, *parts: int, **more: bool) -> dict[str, int]:
    return {path: sum(parts) + len(more)}


@pgq.task
async def nothing() -> None:
    raise GiveUp("nothing to do")


@pgq.task(context=True, executor="thread")
def resize(context: JobContext, path: str, quality: int = 80) -> bytes:
    return f"{context.id}{path}{quality}".encode()


@send.on_success
def sent(context: JobContext[None], result: str) -> None: ...


@send.on_dead
async def unsent(context: JobContext[None], error: BaseException) -> int:
    return context.attempt


send.on_retry(lambda context, error: print(context.id, error))
patient = RetryPolicy(retry_on=(OSError,), uncounted=[TimeoutError], backoff=Exponential("2s", most="1h"))
by_function = RetryPolicy(delay=lambda retried, error: timedelta(seconds=retried), jitter=0.5)
assert_type(send.using(expires_in="1h", deadline=datetime.now(UTC)).enqueue(1), Job[str])


@injected.task(context=True, name="greet")
async def greet(context: JobContext[Deps], name: str) -> list[str]:
    return [context.deps.greeting, name]


@pgq.middleware
async def around(ctx: JobContext[None], call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


@injected.middleware
def around_plain(ctx: JobContext[Deps], call: Callable[[], Any]) -> Any:
    return ctx.deps.greeting, call()


@pgq.route("image:", limit=2, executor="loop", retry=RetryPolicy(max_retries=1))
async def route(ctx: JobContext[None], args: Mapping[str, Any]) -> str:
    return ctx.task + str(args["path"])


@pgq.on_dead
def gone(ctx: JobContext[None], error: BaseException) -> None: ...


@pgq.task(limit=2, expires_in="1h", executor="process")
def limited(number: int) -> int:
    return number


@pgq.task(context=True, limit=1, expires_in=timedelta(hours=1))
async def import_rows(ctx: JobContext[None], path: str) -> None:
    assert_type(ctx.deadline, datetime)
    assert_type(ctx.cancelled, bool)
    assert_type(ctx.headers, Mapping[str, str])
    assert_type(ctx.tags, tuple[str, ...])
    ctx.progress(0.5, "half")
    ctx.progress(note=path)
    ctx.result({"rows": 3})
    ctx.logger.info("%s", path)
    await ctx.acheckpoint({"row": ctx.resumed})


async def completed(ctx: JobContext[None], session: Session, connection: psycopg.AsyncConnection) -> None:
    ctx.complete(session, result={"rows": 3})
    await ctx.acomplete(connection)


assert_type(limited.enqueue(1), Job[int])
reveal_type(import_rows.enqueue)  # reveals (path: str) -> Job[None]
pgq.named("image:rotate").using(queue="images").enqueue(path="/a.png")
pgq.worker(queues=["a", "b"], strict=True, limits={"a": 2}, children=1, max_jobs=10, drain=True)


# What an editor shows while a call is written.
reveal_type(send.enqueue)  # reveals (user_id: int, email: str = "", *, copies: int = 1) -> Job[str]
reveal_type(send.using(priority=1).enqueue)  # reveals (user_id: int, email: str = "", *, copies: int = 1) -> Job[str]
reveal_type(resize.enqueue)  # reveals (path: str, quality: int = 80) -> Job[bytes]
reveal_type(greet.enqueue)  # reveals (name: str) -> Job[list[str]]
reveal_type(nothing.enqueue)  # reveals () -> Job[None]
reveal_type(plain.job)  # reveals (path: str, *parts: int, **more: bool) -> JobSpec[dict[str, int]]

assert_type(send.enqueue(1, "a", copies=2), Job[str])
assert_type(send.enqueue(user_id=1), Job[str])
assert_type(plain.enqueue("a", 1, 2, x=True), Job[dict[str, int]])
assert_type(nothing.enqueue(), Job[None])
assert_type(resize.enqueue("/a.png"), Job[bytes])
assert_type(send.job(1), JobSpec[str])
assert_type(send.using(queue="a", priority=9, delay="10s", max_retries=0, timeout=5.5).enqueue(1), Job[str])
send.using(run_at=datetime(2030, 1, 1, tzinfo=UTC), tags=["a", "b"]).enqueue(1)
send.using(delay=10).using(priority=1).enqueue(1)
send.using(delay=timedelta(hours=1)).enqueue(1)
job_id: str = send.enqueue(1).id
created: bool = send.enqueue(1).created


def synchronous(
    connection: psycopg.Connection,
    rows: psycopg.Connection[dict[str, object]],
    session: Session,
    scoped: scoped_session[Session],
    core: Connection,
) -> None:
    assert_type(send.using(connection).enqueue(1), Job[str])
    assert_type(send.using(rows, priority=1).enqueue(1), Job[str])
    assert_type(send.using(session, delay="1h").enqueue(1), Job[str])
    assert_type(send.using(core).enqueue(1), Job[str])
    send.using(scoped).enqueue(1)
    greet.using(session).enqueue("Ada")
    assert_type(pgq.using(session).enqueue_many([send.job(1), plain.job("a")])[0].id, str)
    pgq.using(connection).enqueue_many(send.job(number) for number in range(3))
    pgq.using(core).enqueue_many([])
    with sessionmaker(create_engine("postgresql+psycopg://")).begin() as begun:
        send.using(begun).enqueue(1)


async def asynchronous(
    connection: psycopg.AsyncConnection,
    rows: psycopg.AsyncConnection[dict[str, object]],
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
    core: AsyncConnection,
    factory: async_sessionmaker[AsyncSession],
) -> None:
    assert_type(await send.aenqueue(1), Job[str])
    assert_type(await send.using(connection).aenqueue(1), Job[str])
    assert_type(await send.using(rows, priority=1).aenqueue(1, "a"), Job[str])
    assert_type(await send.using(session, delay="1h").aenqueue(1), Job[str])
    assert_type(await send.using(core).aenqueue(1), Job[str])
    await send.using(scoped).aenqueue(1)
    await greet.using(session).aenqueue("Ada")
    await pgq.using(session).aenqueue_many([send.job(1), plain.job("a")])
    await pgq.using(connection).aenqueue_many([])
    await pgq.aenqueue_many([send.job(1)])
    async with factory.begin() as begun:
        await send.using(begun).aenqueue(1)
    async with pgq.worker(weights={"images": 10, "default": 5}, concurrency=10, stop_timeout="5s"):
        pass


def bulk(jobs: list[Job[int]], cursor: psycopg.Cursor, engine: Engine, session: Session) -> None:
    specs = (send.job(number) for number in range(3))
    assert_type(pgq.enqueue_many(specs, returning="count", progress=print), int)
    assert_type(pgq.enqueue_many(specs, returning="ids"), list[str])
    assert_type(send.using(cursor, key="a", unique=Unique(scope="ttl", period="1h")).enqueue(1), Job[str])
    assert_type(send.using(session, bind=engine, unique=True).enqueue(1), Job[str])
    with pgq.bind(session):
        send.enqueue(1)
    assert_type(pgq.gather(jobs, timeout="1m"), list[int])
    assert_type(send.enqueue(1).result(timeout=3), str)
    assert_type(send.enqueue(1).wait(), JobState)


async def results(jobs: list[Job[int]], cursor: psycopg.AsyncCursor, stream: AsyncIterator[JobSpec[str]]) -> None:
    assert_type(await pgq.agather(jobs), list[int])
    assert_type(await (await send.using(cursor).aenqueue(1)).aresult(), str)
    assert_type(await pgq.aenqueue_many(stream, returning="count"), int)


def helper() -> None:
    if (context := current()) is not None:
        assert_type(context.attempt, int)
        assert_type(context.deps, None)


def takes_sync(task: SyncTask[[int], str]) -> None:
    task.enqueue(1)


async def takes_async(task: AsyncTask[[int], str]) -> None:
    await task.aenqueue(1)
