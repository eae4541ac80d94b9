"""Failures through a real worker: what is stored, told, and when the job runs again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import Exponential, JobContext, PgQueue, RetryPolicy
from tests.failure import shop
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, errors_of, row_of, runs_of

ONCE = RetryPolicy(max_retries=0)


class Busy(Exception):
    """Somebody else asks for patience."""


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


def endless() -> None:
    endless()


def cyclic() -> None:
    first, second = ValueError("first"), KeyError("second")
    second.__cause__ = first
    raise first from second


def raising(error: Callable[[], BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise error()

    return act


# What a handler does, and the class and message that are stored; None: as asyncio or Python says it.
ENDS: dict[str, tuple[Callable[[], None], str, str | None]] = {
    "exit": (raising(lambda: SystemExit(3)), "SystemExit", "3"),
    "interrupt": (raising(KeyboardInterrupt), "KeyboardInterrupt", ""),
    "generator": (raising(lambda: GeneratorExit("gone")), "GeneratorExit", "gone"),
    "cancel": (raising(lambda: asyncio.CancelledError("mine")), "asyncio.exceptions.CancelledError", "mine"),
    "memory": (raising(MemoryError), "MemoryError", ""),
    "recursion": (endless, "RecursionError", None),
    "cyclic": (cyclic, "ValueError", "first"),
    "mute": (raising(Mute), "tests.failure.test_worker.Mute", "(its message cannot be shown: RuntimeError)"),
    "nul": (raising(lambda: ValueError("a\0b")), "ValueError", "a\ufffdb"),
    "group": (
        raising(lambda: ExceptionGroup("g", [OSError("x")])),
        "ExceptionGroup",
        "g (1 sub-exception): OSError: x",
    ),
    "huge": (raising(lambda: ValueError("x" * 1_000_000)), "ValueError", "x" * 10_000),
}


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_whatever_a_handler_raises_is_stored_and_the_worker_goes_on(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, executor: str
) -> None:
    def act(case: str) -> None:
        if case != "none":
            ENDS[case][0]()

    async def aact(case: str) -> None:
        act(case)

    task: Any = pgq.task(name="act", retry=ONCE)(act if executor == "thread" else aact)
    jobs = {case: task.enqueue(case) for case in ENDS}
    async with pgq.worker(concurrency=2):
        await watch.auntil(ENDED, len(ENDS), "dead")
        after = task.enqueue("none")
        await watch.auntil(STATE, "succeeded", after.id)
    for case, job in jobs.items():
        row, (_, kind, message) = row_of(database, job.id), ENDS[case]
        assert (case, row["error_type"]) == (case, kind)
        assert message is None or row["error"] == message
        assert row["traceback"], case
        assert runs_of(database, job.id) == [(1, 1, "dead")]


async def test_an_uncounted_error_uses_no_attempt_and_others_do(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(context=True, retry=RetryPolicy(max_retries=1, uncounted=(Busy,), backoff=Exponential(0.02)))
    async def call(ctx: JobContext[None]) -> None:
        raise Busy if ctx.run in (1, 2, 4) else OSError("away")

    job = call.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [
        (1, 0, "snooze"),
        (2, 0, "snooze"),
        (3, 1, "retry"),
        (4, 1, "snooze"),
        (5, 2, "dead"),
    ]
    assert errors_of(database, job.id)[0][0].endswith("Busy")


async def test_an_error_outside_retry_on_ends_the_job_and_a_timeout_counts_as_an_os_error(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(retry=RetryPolicy(retry_on=(OSError,), delays=[0.02], max_retries=1))
    async def call(how: str) -> None:
        if how == "slow":
            await asyncio.Event().wait()
        raise OSError if how == "away" else ValueError

    jobs = [call.enqueue(how) for how in ("away", "wrong")]
    slow = call.using(timeout=0.05).enqueue("slow")
    async with pgq.worker(concurrency=3):
        await watch.auntil(ENDED, 3, "dead")
    assert [len(runs_of(database, job.id)) for job in jobs] == [2, 1]
    assert errors_of(database, slow.id)[0][0] == "TimeoutError"
    assert len(runs_of(database, slow.id)) == 2, "in Python, TimeoutError is an OSError"


async def test_a_delay_function_that_raises_is_told_and_the_error_of_the_attempt_stays(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    def broken(retried: int, error: BaseException) -> float:
        raise LookupError("no table")

    @pgq.task(retry=RetryPolicy(delay=broken))
    async def fail() -> None:
        raise OSError("away")

    heard = Heard(pgq.events)
    job = fail.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "scheduled", job.id)
    assert runs_of(database, job.id) == [(1, 1, "retry")]
    assert errors_of(database, job.id) == [("OSError", "away")]
    assert 15 <= heard.named("job.retried")[0]["again_in"] <= 45
    assert any("LookupError: no table" in str(event.get("error")) for event in heard.named("service.failed"))


async def test_parameters_of_another_version_cost_no_attempt_and_the_version_that_takes_them_runs_the_job(
    pgq: PgQueue[None], dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(name="send")
    async def send(user_id: int) -> None:
        raise AssertionError("called")

    newer: PgQueue[None] = PgQueue(dsn)
    got: list[tuple[int, str]] = []

    @newer.task(name="send")
    async def send_newer(user_id: int, address: str) -> None:
        got.append((user_id, address))

    heard = Heard(pgq.events)
    job = send_newer.enqueue(1, "a@example.com")
    async with pgq.worker(concurrency=1):
        await watch.auntil("select exists (select from pgqueue.job_attempt where job_id = %s)", job.id)
    (told,) = heard.named("job.mismatch")
    assert told["again_in"] == 1
    assert row_of(database, job.id)["attempt"] == 0
    assert errors_of(database, job.id)[0][0] == "pgqueue.SignatureMismatch"
    assert "send has no parameter 'address'" in errors_of(database, job.id)[0][1]
    async with newer.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    assert got == [(1, "a@example.com")]
    newer.close()


async def test_a_mismatch_is_an_error_after_sixty_hand_outs(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(name="send", retry=ONCE)
    def send(user_id: int) -> None:
        raise AssertionError("called")

    job = send.enqueue(1)
    database.execute("update pgqueue.job set run = 60, args = '{}' where id = %s", (job.id,))
    database.execute("update pgqueue.ready set run = 60 where job_id = %s", (job.id,))
    async with pgq.worker(concurrency=1):
        await watch.auntil("select state in ('dead', 'scheduled') from pgqueue.all_jobs where id = %s", job.id)
    row = row_of(database, job.id)
    assert row["error_type"] == "pgqueue.SignatureMismatch"
    assert "needs 'user_id'" in row["error"]


async def test_a_job_that_was_not_started_in_time_expires_and_one_without_such_a_time_runs(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[str] = []

    @pgq.task
    async def note(text: str) -> None:
        ran.append(text)

    past = datetime.now(UTC) - timedelta(minutes=1)
    late = note.using(expires_at=past).enqueue("late")
    short = note.using(expires_in=0.001).enqueue("short")
    watch.until("select expires_at < clock_timestamp() from pgqueue.job where id = %s", short.id)
    jobs = [
        note.using(expires_in="1h").enqueue("in time"),
        note.using(deadline=past + timedelta(hours=1)).enqueue("too"),
    ]
    heard = Heard(pgq.events)
    async with pgq.worker(concurrency=1):
        for job in (late, short):
            await watch.auntil(STATE, "expired", job.id)
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id)
    assert ran == ["in time", "too"]
    assert {str(event["job"]) for event in heard.named("job.expired")} == {late.id, short.id}


async def test_an_attempt_ends_by_the_deadline_of_the_job(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(retry=ONCE)
    async def wait() -> None:
        await asyncio.Event().wait()

    job = wait.using(deadline=datetime.now(UTC) + timedelta(seconds=0.5)).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert errors_of(database, job.id) == [("TimeoutError", "The attempt ran past the job's deadline.")]


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_the_hooks_of_each_ending_are_called_with_what_ended_it(
    pgq: PgQueue[None], watch: Watch, executor: str
) -> None:
    called: list[tuple[str, str, int, str]] = []

    def work(how: str) -> str:
        if how == "fail":
            raise OSError("away")
        return how

    async def awork(how: str) -> str:
        return work(how)

    retry = RetryPolicy(max_retries=1, delays=[0.02])
    task: Any = pgq.task(name="work", retry=retry)(work if executor == "thread" else awork)

    def noting(kind: str) -> Callable[[JobContext[Any], object], None]:
        return lambda ctx, value: called.append((kind, ctx.id, ctx.attempt, repr(value)))

    task.on_retry(noting("retry"))
    task.on_dead(noting("dead"))
    task.on_success(noting("success"))
    pgq.on_dead(noting("any dead"))
    failing, fine = task.enqueue("fail"), task.enqueue("fine")
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", failing.id)
        await watch.auntil(STATE, "succeeded", fine.id)
    error = "OSError('away')"
    assert sorted(called) == [
        ("any dead", failing.id, 2, error),
        ("dead", failing.id, 2, error),
        ("retry", failing.id, 1, error),
        ("success", fine.id, 1, "'fine'"),
    ]


async def test_the_hook_of_a_timeout_is_called_with_a_timeout(pgq: PgQueue[None], watch: Watch) -> None:
    called: list[BaseException] = []

    @pgq.task(timeout=0.05, retry=ONCE)
    async def wait() -> None:
        await asyncio.Event().wait()

    wait.on_dead(lambda ctx, error: called.append(error))
    job = wait.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert [type(error) for error in called] == [TimeoutError]


async def test_a_hook_that_raises_changes_no_outcome(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def fine() -> int:
        return 5

    @fine.on_success
    async def broken(ctx: JobContext[Any], result: int) -> None:
        raise SystemExit(result)

    heard = Heard(pgq.events)
    job = fine.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    (told,) = heard.named("hook.failed")
    assert (told["job"], told["error"]) == (job.id, "SystemExit: 5")
    assert runs_of(database, job.id) == [(1, 1, "succeeded")]


async def test_a_stop_meanwhile_ends_a_hook_and_the_outcome_is_recorded(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    entered = asyncio.Event()

    @pgq.task
    async def fine() -> None: ...

    @fine.on_success
    async def waits(ctx: JobContext[Any], result: None) -> None:
        entered.set()
        await asyncio.Event().wait()

    job = fine.enqueue()
    async with pgq.worker(concurrency=1, stop_timeout=0):
        async with asyncio.timeout(10):
            await entered.wait()
    assert runs_of(database, job.id) == [(1, 1, "succeeded")]


async def test_a_policy_is_kept_in_a_child_process_and_its_hooks_are_called_outside(
    dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    called: list[tuple[str, int, str]] = []
    shop.fail.on_dead(lambda ctx, error: called.append((ctx.id, os.getpid(), str(error))))
    with shop.pgq.working_on(dsn):
        busy, away, last = (
            shop.fail.enqueue("busy"),
            shop.fail.enqueue("away"),
            shop.fail.using(max_retries=0).enqueue("away"),
        )
        async with shop.pgq.worker(concurrency=1):
            await watch.auntil(STATE, "scheduled", busy.id)
            await watch.auntil(STATE, "scheduled", away.id)
            await watch.auntil(STATE, "dead", last.id)
    assert runs_of(database, busy.id) == [(1, 0, "snooze")]
    assert runs_of(database, away.id) == [(1, 1, "retry")]
    assert [(job, process) for job, process, _ in called] == [(last.id, os.getpid())]
    assert "OSError: away" in called[0][2]


async def test_a_delay_function_that_raises_in_a_child_process_is_told(dsn: str, watch: Watch) -> None:
    heard = Heard(shop.pgq.events)
    with shop.pgq.working_on(dsn):
        job = shop.fail.enqueue("away")
        async with shop.pgq.worker(concurrency=1):
            await watch.auntil(STATE, "scheduled", job.id)
    assert any("LookupError: no table" in str(event.get("error")) for event in heard.named("service.failed"))
