"""The hooks of a task and of all tasks, called as a worker calls them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from pgqueue import JobContext, PgQueue
from pgqueue.backend import Verdict
from pgqueue.tasks import Declaration
from pgqueue.worker.hooks import HookKind, HookRunner, hook_kind
from pgqueue.worker.threads import Threads
from tests.failure.runs import context_of
from tests.worker.harness import Heard


class Stage:
    """An application with one task, and the runner of its hooks."""

    def __init__(self, longest: float = 30.0) -> None:
        self.pgq = PgQueue("postgresql://nowhere")
        self.task = self.pgq.task(name="send")(lambda: None)
        self.heard = Heard(self.pgq.events)
        self.threads = Threads()
        self.runner = HookRunner(self.pgq.tasks, self.threads, self.pgq.events, longest=longest)

    @property
    def declaration(self) -> Declaration:
        return self.task.declaration

    async def run(self, kind: HookKind, value: object = None) -> None:
        await self.runner.run(kind, self.declaration, context_of(1, "send"), value)

    def failures(self) -> list[str]:
        return [fields["error"] for fields in self.heard.named("hook.failed")]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    staged = Stage()
    yield staged
    staged.threads.stop()


async def test_the_hooks_of_the_task_come_first_then_those_of_all_in_their_order(stage: Stage) -> None:
    calls: list[tuple[str, object]] = []

    def noting(name: str) -> Callable[[JobContext[Any], object], None]:
        return lambda ctx, value: calls.append((f"{name} {ctx.id}", value))

    stage.pgq.on_dead(noting("all"))
    stage.task.on_dead(noting("first"))

    @stage.task.on_dead
    async def second(ctx: JobContext[Any], error: BaseException) -> None:
        calls.append((f"second {ctx.id}", error))

    stage.task.on_retry(noting("retry"))
    stage.task.on_success(noting("success"))
    error = ValueError()
    await stage.run("dead", error)
    assert calls == [("first 1", error), ("second 1", error), ("all 1", error)]
    await stage.run("success", 5)
    await stage.run("retry", error)
    assert calls[3:] == [("success 1", 5), ("retry 1", error)]
    assert stage.failures() == []


async def test_only_what_has_hooks_wants_a_run(stage: Stage) -> None:
    wanted = stage.runner.wanted
    assert not any(wanted(kind, stage.declaration) for kind in get_args(HookKind))
    stage.task.on_dead(lambda ctx, error: None)
    assert [wanted(kind, stage.declaration) for kind in get_args(HookKind)] == [False, True, False]
    stage.pgq.on_success(lambda ctx, value: None)
    other = replace(stage.declaration, name="other", hooks=type(stage.declaration.hooks)())
    assert [wanted(kind, other) for kind in get_args(HookKind)] == [False, False, True]


def test_a_verdict_calls_the_hooks_of_what_happened_and_what_was_asked_for_calls_none() -> None:
    assert {verdict: hook_kind(verdict) for verdict in get_args(Verdict)} == {
        "succeeded": "success",
        "dead": "dead",
        "poison": "dead",
        "retry": "retry",
        "crashed": "retry",
        "cancelled": None,
        "expired": None,
        "snooze": None,
        "release": None,
    }


async def test_a_plain_hook_runs_in_a_thread_and_an_async_one_on_the_loop_both_with_the_context_variables(
    stage: Stage,
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("here")
    seen: list[tuple[str, bool]] = []
    main = threading.get_ident()

    @stage.task.on_dead
    def plain(ctx: JobContext[Any], error: BaseException) -> None:
        seen.append((variable.get(), threading.get_ident() == main))

    @stage.task.on_dead
    async def awaited(ctx: JobContext[Any], error: BaseException) -> None:
        seen.append((variable.get(), threading.get_ident() == main))
        variable.set("changed")

    await stage.run("dead")
    assert seen == [("here", False), ("here", True)]
    assert variable.get() == "here"


class Rude(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


ERRORS = [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), Rude()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_what_a_hook_raises_is_told_and_the_next_hook_is_called(
    stage: Stage, error: BaseException, kind: str
) -> None:
    called: list[object] = []

    def plain(ctx: JobContext[Any], failure: BaseException) -> None:
        raise error

    async def awaited(ctx: JobContext[Any], failure: BaseException) -> None:
        raise error

    stage.task.on_dead(plain if kind == "plain" else awaited)
    stage.task.on_dead(lambda ctx, failure: called.append(failure))
    await stage.run("dead", "why")
    assert called == ["why"]
    (told,) = stage.heard.named("hook.failed")
    assert (told["task"], told["job"]) == ("send", "1")
    assert told["hook"].endswith(plain.__name__ if kind == "plain" else awaited.__name__)
    assert told["error"].startswith(type(error).__name__)
    assert asyncio.current_task() is not None
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_a_hook_that_hides_that_it_is_async_is_told(stage: Stage) -> None:
    async def work() -> None: ...

    stage.task.on_dead(lambda ctx, error: work())
    await stage.run("dead")
    assert "nothing runs" in stage.failures()[0]


async def test_a_hook_over_its_time_is_left_and_the_next_one_is_called() -> None:
    stage, free, entered = Stage(longest=0.05), threading.Event(), threading.Event()
    called: list[str] = []

    @stage.task.on_retry
    def plain(ctx: JobContext[Any], error: BaseException) -> None:
        entered.set()
        free.wait(30)

    @stage.task.on_retry
    async def waits(ctx: JobContext[Any], error: BaseException) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            called.append("cleaned up")

    @stage.task.on_retry
    async def deaf(ctx: JobContext[Any], error: BaseException) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await goes_on.wait()
            called.append("went on")

    goes_on = asyncio.Event()
    stage.task.on_retry(lambda ctx, error: called.append("last"))
    await stage.run("retry")
    assert entered.is_set()
    assert stage.failures() == ["TimeoutError: It took longer than 0.05 s."] * 3
    assert called == ["cleaned up", "last"]
    assert stage.threads.zombies == 1
    goes_on.set()
    free.set()
    stage.threads.stop()


async def test_a_cancel_of_the_slot_cancels_its_hook_and_is_told(stage: Stage) -> None:
    entered, cancelled, called = asyncio.Event(), asyncio.Event(), list[str]()

    @stage.task.on_success
    async def waits(ctx: JobContext[Any], value: object) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    stage.task.on_success(lambda ctx, value: called.append("next"))
    slot = asyncio.create_task(stage.run("success"))
    await entered.wait()
    slot.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slot
    await cancelled.wait()
    assert called == []
    assert "meanwhile" in stage.failures()[0]
