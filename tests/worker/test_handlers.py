"""Handlers that raise what they should not, and what a handler sees of its job. After each the worker still serves all slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

import pgqueue
from pgqueue import JobContext, PgQueue, RetryPolicy
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, row_of


class Silent(Exception):
    """Its message cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Rude(Exception):
    """Its message ends the program."""

    def __str__(self) -> str:
        raise SystemExit("rude")


class Shapeless(Exception):
    """It cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no shape")


Homeless = type("Homeless", (Exception,), {"__module__": "no\0where"})

RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "SystemExit": (lambda: SystemExit(1), "SystemExit"),
    "KeyboardInterrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "BaseException": (lambda: BaseException("bare"), "BaseException"),
    "CancelledError": (asyncio.CancelledError, "asyncio.exceptions.CancelledError"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit"),
    "StopIteration": (lambda: StopIteration(3), "RuntimeError"),
    "ExceptionGroup": (lambda: BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError()]), "BaseExceptionGroup"),
    "a message that raises": (Silent, "tests.worker.test_handlers.Silent"),
    "a message that exits": (Rude, "tests.worker.test_handlers.Rude"),
    "a repr that raises": (Shapeless, "tests.worker.test_handlers.Shapeless"),
    "NUL and a lone surrogate": (lambda: ValueError("a\0b\udc80c\ud83d"), "ValueError"),
    "a megabyte": (lambda: ValueError("x" * 2**20), "ValueError"),
    "a type that jsonb cannot hold": (Homeless, "no\ufffdwhere.Homeless"),
}


@pytest.mark.parametrize("executor", ["loop", "thread"])
@pytest.mark.parametrize("case", RAISED)
async def test_whatever_a_handler_raises_is_recorded_and_the_worker_goes_on(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, case: str, executor: str
) -> None:
    make, kind = RAISED[case]
    if (case, executor) == ("StopIteration", "thread"):
        kind = "StopIteration"  # Python replaces it only where it leaves a coroutine

    def fail() -> None:
        raise make()

    async def afail() -> None:
        raise make()

    bad = pgq.task(name="bad", retry=RetryPolicy(max_retries=0))(fail if executor == "thread" else afail)

    @pgq.task(name="good", queue="default")
    async def good() -> None:
        pass

    pgq.enqueue_many([bad.job(), bad.job(), good.job(), good.job(), bad.job(), good.job()])
    async with pgq.worker(concurrency=2) as worker:
        await watch.auntil(ENDED, 3, "dead", timeout=5)
        await watch.auntil(ENDED, 3, "succeeded", timeout=5)
        assert not worker.slots.running
    rows = database.execute(
        "select error_type, length(error), length(traceback) from pgqueue.all_jobs where state = 'dead'"
    ).fetchall()
    assert [row[0] for row in rows] == [kind] * 3
    assert all(row[1] <= 10_000 and (row[2] or 0) <= 30_000 for row in rows)


async def test_text_that_jsonb_cannot_hold_is_replaced_not_refused(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise ValueError("a\0b\udc80c")

    job = fail.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert row_of(database, job.id)["error"] == "a\ufffdb\ufffdc"


async def test_an_error_that_cannot_be_stored_does_not_hold_up_the_others(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.verdicts._storable", lambda text: text)  # as if it had missed something

    @pgq.task(retry=RetryPolicy(max_retries=0))
    async def fail(number: int) -> None:
        raise Homeless() if number % 7 == 0 else ValueError(str(number))

    pgq.enqueue_many([fail.job(n) for n in range(100)])
    async with pgq.worker(concurrency=100):
        await watch.auntil(ENDED, 100, "dead")
    kinds = database.execute("select error_type, count(*) from pgqueue.all_jobs group by 1 order by 1").fetchall()
    assert kinds == [("Unstorable", 15), ("ValueError", 85)]


async def test_a_handler_that_cancels_itself_fails_and_costs_no_slot(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task(name="selfish", retry=RetryPolicy(max_retries=0))
    async def selfish() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    @pgq.task(name="good")
    async def good() -> None:
        pass

    pgq.enqueue_many([selfish.job(), good.job()])
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 1, "dead", timeout=5)
        await watch.auntil(ENDED, 1, "succeeded", timeout=5)


VARIABLE: ContextVar[object] = ContextVar("VARIABLE", default="unset")


class Odd:
    """A value that cannot be compared, like an array."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", ["secret", [], Odd()], ids=["text", "equal", "incomparable"])
async def test_a_context_variable_does_not_leak_into_the_next_job_of_the_slot(
    pgq: PgQueue[None], watch: Watch, value: object
) -> None:
    before: list[object] = []
    seen: list[object] = []

    @pgq.task
    async def leave_it_set(*, fail: bool) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set(value)
        if fail:
            raise ValueError

    pgq.enqueue_many([leave_it_set.job(fail=n % 2 == 1) for n in range(4)])
    pgq.enqueue_many([leave_it_set.job(fail=False)])
    token = VARIABLE.set(before)
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 3, "succeeded", timeout=5)
    VARIABLE.reset(token)
    assert len(seen) == 5
    assert all(one is before for one in seen)


@dataclass
class Deps:
    """What an application injects."""

    greeting: str


async def test_a_handler_with_context_sees_its_job_and_the_deps(
    dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    made: list[Deps] = []

    def make() -> Deps:
        made.append(Deps("hello"))
        return made[-1]

    pgq = PgQueue(dsn, deps=make)
    seen: list[tuple[JobContext[Deps], int]] = []

    @pgq.task(name="curious", context=True, queue="mail", retry=RetryPolicy(max_retries=7))
    async def curious(ctx: JobContext[Deps], number: int) -> None:
        seen.append((ctx, number))

    @pgq.task(name="curious too", context=True, queue="mail", retry=RetryPolicy(max_retries=7))
    def curious_too(ctx: JobContext[Deps], number: int) -> None:
        seen.append((ctx, number))

    for number, task in enumerate((curious, curious_too)):
        job = task.using(headers={"trace": "7"}, tags=["a", "b"]).enqueue(number)
        async with pgq.worker(concurrency=1):
            await watch.auntil(STATE, "succeeded", job.id)
        ctx, got = seen[-1]
        assert got == number
        assert (ctx.id, ctx.task, ctx.queue) == (job.id, task.name, "mail")
        assert (ctx.run, ctx.attempt, ctx.max_retries) == (1, 1, 7)
        assert (ctx.headers, ctx.tags) == ({"trace": "7"}, ("a", "b"))
        assert ctx.enqueued_at == row_of(database, job.id)["enqueued_at"]
        assert ctx.enqueued_at.utcoffset() == timedelta(0)
        assert ctx.deps is made[-1]
    assert len(made) == 2, "deps are made once a worker"
    pgq.close()


async def test_current_names_the_job_in_handlers_and_what_they_call(pgq: PgQueue[None], watch: Watch) -> None:
    seen: list[str | None] = []

    def helper() -> None:
        context = pgqueue.current()
        seen.append(None if context is None else context.id)

    async def ahelper() -> None:
        helper()

    @pgq.task(name="loop")
    async def loop() -> None:
        helper()
        await asyncio.create_task(ahelper())
        await asyncio.to_thread(helper)

    @pgq.task(name="thread")
    def thread() -> None:
        helper()

    first, second = pgq.enqueue_many([loop.job(), thread.job()])
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 2, "succeeded")
    helper()
    assert seen == [first.id, first.id, first.id, second.id, None]


async def test_an_unknown_task_waits_without_an_attempt_for_a_worker_that_knows_it(
    pgq: PgQueue[None], dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(name="known")
    async def known() -> None:
        pass

    heard = Heard(pgq.events)
    ghost = database.execute("select pgqueue.enqueue('ghost', max_retries => 0)").fetchone()
    assert ghost is not None
    other, ran = PgQueue(dsn), list[int]()

    @other.task(name="ghost", context=True)
    async def known_there(ctx: JobContext[None]) -> None:
        ran.append(ctx.attempt)

    async with pgq.worker(concurrency=1):
        await heard.wait("job.unknown_task", 3)
        await watch.auntil(STATE, "scheduled", ghost[0])
        assert row_of(database, ghost[0])["attempt"] == 0
    assert [event["again_in"] for event in heard.named("job.unknown_task")] == [1.0, 2.0, 4.0]
    database.execute("update pgqueue.scheduled set due_at = now()")
    database.execute("update pgqueue.job set run_at = now()")
    async with other.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", ghost[0])
    assert ran == [1]
    assert (row_of(database, ghost[0])["attempt"], row_of(database, ghost[0])["run"]) == (1, 4)
    other.close()


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
async def test_work_that_nobody_ran_is_no_success(pgq: PgQueue[None], watch: Watch, kind: str) -> None:
    """A decorator may hide that a function is async: what it returns then is the work itself, undone."""

    async def undone() -> None:
        raise AssertionError("nobody runs this")

    def hidden() -> object:
        return undone() if kind == "coroutine" else (number for number in range(3))

    job = pgq.task(name="hidden", retry=RetryPolicy(max_retries=0))(hidden).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert pgq.inspector.job(job.id).error_type == "pgqueue.TaskError"
    assert kind in (pgq.inspector.job(job.id).error or "")
