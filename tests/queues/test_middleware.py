"""Middleware around handlers, through a real worker."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from pgqueue import GiveUp, JobContext, PgQueue, RetryPolicy, Snooze, TaskError
from pgqueue.worker.run import HeldRun
from tests.support import Watch
from tests.worker.harness import STATE, errors_of, row_of, runs_of

Call = Callable[[], Awaitable[Any]]
PlainCall = Callable[[], Any]
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def done(pgq: PgQueue[None], watch: Watch, job: Any, state: str = "succeeded") -> None:
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, state, job.id)


def instead(error: KeyError) -> str:
    """Do what the error asks for."""
    if error.args[0] == "swallow":
        return "rescued"
    raise {"give up": GiveUp("no"), "snooze": Snooze("1h"), "error": ValueError("other")}[error.args[0]] from error


async def test_the_first_is_outermost_and_plain_ones_are_inside_in_the_handlers_thread(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    calls: list[tuple[str, bool]] = []

    def note(name: str) -> None:
        calls.append((name, threading.current_thread() is threading.main_thread()))

    @pgq.middleware
    def plain_outer(ctx: JobContext[None], call: PlainCall) -> Any:
        note(f"plain outer {ctx.task}")
        return call()

    @pgq.middleware
    async def outer(ctx: JobContext[None], call: Call) -> Any:
        note("outer")
        value = await call()
        note("outer after")
        return value

    @pgq.middleware
    async def inner(ctx: JobContext[None], call: Call) -> Any:
        note("inner")
        return [await call()]

    @pgq.middleware
    def plain_inner(ctx: JobContext[None], call: PlainCall) -> Any:
        note("plain inner")
        return {"it": call()}

    @pgq.task(name="plain")
    def plain() -> str:
        note("plain")
        return "done"

    @pgq.task(name="loop")
    async def loop() -> str:
        note("loop")
        return "done"

    await done(pgq, watch, first := plain.enqueue())
    assert calls == [
        ("outer", True), ("inner", True), ("plain outer plain", False), ("plain inner", False), ("plain", False),
        ("outer after", True),
    ]  # fmt: skip
    assert row_of(database, first.id)["result"] == [{"it": "done"}]
    calls.clear()
    await done(pgq, watch, second := loop.enqueue())
    assert [name for name, _ in calls] == ["outer", "inner", "loop", "outer after"], "plain ones are for plain handlers"
    assert row_of(database, second.id)["result"] == ["done"]


@pytest.mark.parametrize(("kind", "executor"), [("async", "loop"), ("async", "thread"), ("plain", "thread")])
async def test_what_it_raises_is_the_outcome_and_what_it_swallows_is_none(
    kind: str, executor: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    if kind == "async":

        @pgq.middleware
        async def around(ctx: JobContext[None], call: Call) -> Any:
            try:
                return await call()
            except KeyError as error:
                return instead(error)
    else:

        @pgq.middleware
        def around_plain(ctx: JobContext[None], call: PlainCall) -> Any:
            try:
                return call()
            except KeyError as error:
                return instead(error)

    def fail(how: str) -> None:
        raise KeyError(how)

    async def afail(how: str) -> None:
        raise KeyError(how)

    chosen: Any = afail if executor == "loop" else fail
    task = pgq.task(retry=RetryPolicy(max_retries=0))(chosen)
    ends = {"swallow": "succeeded", "give up": "dead", "error": "dead", "snooze": "scheduled"}
    jobs = {how: task.enqueue(how) for how in ends}
    async with pgq.worker(concurrency=4):
        for how, job in jobs.items():
            await watch.auntil(STATE, ends[how], job.id)
    assert row_of(database, jobs["swallow"].id)["result"] == "rescued"
    assert errors_of(database, jobs["error"].id) == [("ValueError", "other")]
    assert runs_of(database, jobs["snooze"].id) == [(1, 0, "snooze")]


async def test_one_that_does_not_call_decides_alone_and_one_may_call_twice(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[str] = []

    @pgq.middleware
    async def around(ctx: JobContext[None], call: Call) -> Any:
        if "skip" in ctx.tags:
            return "skipped"
        try:
            return await call()
        except OSError:
            return await call()

    @pgq.middleware
    def around_plain(ctx: JobContext[None], call: PlainCall) -> Any:
        return (call(), call()) if "twice" in ctx.tags else call()

    @pgq.task
    async def flaky() -> int:
        ran.append("flaky")
        if len(ran) == 1:
            raise OSError
        return len(ran)

    @pgq.task
    def plain() -> str:
        ran.append("plain")
        return "p"

    first, skipped = flaky.enqueue(), flaky.using(tags=["skip"]).enqueue()
    twice = plain.using(tags=["twice"]).enqueue()
    async with pgq.worker(concurrency=1):
        for job in (first, skipped, twice):
            await watch.auntil(STATE, "succeeded", job.id)
    assert ran == ["flaky", "flaky", "plain", "plain"]
    assert [row_of(database, job.id)["result"] for job in (first, skipped, twice)] == [2, "skipped", ["p", "p"]]


async def test_what_it_sets_is_seen_by_the_handler_and_not_by_the_next_job(pgq: PgQueue[None], watch: Watch) -> None:
    seen: dict[str, str] = {}

    @pgq.middleware
    async def around(ctx: JobContext[None], call: Call) -> Any:
        if "set" in ctx.tags:
            VARIABLE.set(f"of {ctx.id}")  # and leaves it
        return await call()

    @pgq.task(context=True)
    async def loop(ctx: JobContext[None]) -> None:
        await asyncio.sleep(0)
        seen[ctx.id] = VARIABLE.get()

    @pgq.task(context=True)
    def plain(ctx: JobContext[None]) -> None:
        seen[ctx.id] = VARIABLE.get()

    jobs = [task.using(tags=tags).enqueue() for task in (loop, plain) for tags in (["set"], [])]
    async with pgq.worker(concurrency=1):
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id)
    assert [seen[job.id] for job in jobs] == [f"of {jobs[0].id}", "unset", f"of {jobs[2].id}", "unset"]


async def test_a_timeout_reaches_the_handler_through_it(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ends: list[str] = []

    @pgq.middleware
    async def around(ctx: JobContext[None], call: Call) -> Any:
        try:
            return await call()
        finally:
            ends.append(f"middleware {ctx.cancelled}")

    @pgq.task(retry=RetryPolicy(max_retries=0), timeout="20ms")
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("handler")

    job = hang.enqueue()
    await done(pgq, watch, job, "dead")
    assert ends == ["handler", "middleware True"]
    assert errors_of(database, job.id) == [("TimeoutError", "The attempt took longer than its timeout of 0.02 s.")]


async def test_arguments_that_do_not_fit_are_told_through_it(pgq: PgQueue[None], watch: Watch) -> None:
    seen: list[str] = []

    @pgq.middleware
    async def around(ctx: JobContext[None], call: Call) -> Any:
        try:
            return await call()
        except Exception as error:
            seen.append(type(error).__name__)
            raise

    @pgq.task(name="send")
    async def send(address: str) -> None: ...

    job = pgq.named("send").enqueue(adress="misspelt")
    await done(pgq, watch, job, "scheduled")
    assert seen == ["SignatureMismatch"]


async def test_routes_are_surrounded_too(pgq: PgQueue[None], watch: Watch) -> None:
    seen: list[str] = []

    @pgq.middleware
    async def around(ctx: JobContext[None], call: Call) -> Any:
        seen.append(ctx.task)
        return await call()

    @pgq.route("x:")
    async def route(ctx: JobContext[None], args: object) -> None: ...

    await done(pgq, watch, pgq.named("x:y").enqueue())
    assert seen == ["x:y"]


async def test_without_any_nothing_is_made_for_it(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    make = HeldRun.__init__

    def counted(self: HeldRun, *args: Any) -> None:
        made.append(self)
        make(self, *args)

    monkeypatch.setattr(HeldRun, "__init__", counted)

    @pgq.task
    async def loop() -> None: ...

    @pgq.task
    def plain() -> None: ...

    jobs = [loop.enqueue(), plain.enqueue()]
    async with pgq.worker(concurrency=1):
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id)
    assert made == []


def test_what_cannot_be_called_with_context_and_call_is_refused(pgq: PgQueue[None]) -> None:
    with pytest.raises(TaskError, match="the context and the call"):
        pgq.middleware(lambda ctx: None)
    with pytest.raises(TaskError, match="yield"):

        @pgq.middleware
        def generator(ctx: object, call: object) -> Any:
            yield
