"""Process tasks through a real worker: what is recorded of their jobs."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import GiveUp, HandlerFailed, JobContext, PgQueue
from tests.processes import shop
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, errors_of, row_of, runs_of

RECORDED = "select true from pgqueue.all_attempts where job_id = %s and outcome = %s"
NOTED = "select note from pgqueue.job_progress where job_id = %s and done = 0.5"


@pytest.fixture
def app(dsn: str) -> Iterator[PgQueue[Any]]:
    """The application, on the test's database."""
    with shop.pgq.working_on(dsn):
        yield shop.pgq


async def test_each_end_of_a_handler_is_recorded_as_in_any_other_executor(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection
) -> None:
    ends = {
        "nothing": ("succeeded", None),
        "error": ("dead", "ValueError"),
        "GiveUp": ("dead", "pgqueue.GiveUp"),
        "SystemExit": ("dead", "SystemExit"),
        "Snooze": ("snooze", "pgqueue.Snooze"),
        "RetryAfter": ("dead", "pgqueue.RetryAfter"),
        "_exit": ("dead", "pgqueue.ChildDied"),
        "SIGSEGV": ("dead", "pgqueue.ChildDied"),
    }
    jobs = {how: shop.behave.using(max_retries=0).enqueue(how) for how in ends}
    once_more = shop.behave.using(max_retries=1).enqueue("error")
    async with app.worker(children=1):
        for how, (outcome, _) in ends.items():
            await watch.auntil(RECORDED, jobs[how].id, outcome)
        await watch.auntil(RECORDED, once_more.id, "retry")
    for how, (outcome, kind) in ends.items():
        assert runs_of(database, jobs[how].id)[-1][2] == outcome
        assert errors_of(database, jobs[how].id)[-1][0] == kind, how


async def test_a_job_that_kills_its_child_three_times_is_dead_as_poison_and_an_innocent_runs(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection
) -> None:
    killer, innocent = shop.kill_quickly.enqueue(), shop.where.enqueue()
    heard = Heard(app.events)
    async with app.worker(children=1):
        await watch.auntil(STATE, "dead", killer.id)
        await watch.auntil(STATE, "succeeded", innocent.id)
    row = row_of(database, killer.id)
    assert (row["crashes"], row["error_type"]) == (3, "Poison")
    assert [outcome for _, _, outcome in runs_of(database, killer.id)] == ["crashed", "crashed", "dead"]
    assert runs_of(database, innocent.id) == [(1, 1, "succeeded")]
    assert len(heard.named("child.died")) == 3


async def test_a_timeout_kills_the_child_and_the_worker_lives(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection
) -> None:
    late = shop.spin.using(timeout=0.5, max_retries=0).enqueue(False)
    async with app.worker(children=1):
        await watch.auntil(STATE, "dead", late.id)
        after = shop.where.enqueue()
        await watch.auntil(STATE, "succeeded", after.id)
    assert errors_of(database, late.id)[0][0] == "TimeoutError"
    length = database.execute(
        "select extract(epoch from ended_at - started_at)::float8 from pgqueue.all_attempts where job_id = %s",
        (late.id,),
    ).fetchone()
    assert length is not None
    assert 0.5 <= length[0] < 1.5


async def test_a_cancel_ends_a_running_handler(app: PgQueue[Any], watch: Watch) -> None:
    job = shop.spin.enqueue(False)
    async with app.worker(children=1):
        await watch.auntil(NOTED.replace("note", "true"), job.id)
        app.inspector.cancel(job.id)
        await watch.auntil(STATE, "cancelled", job.id)


async def test_a_stop_hands_back_what_does_not_end_and_keeps_what_does(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection
) -> None:
    heeds, deaf, hangs = shop.spin.enqueue(True), shop.spin.enqueue(False), shop.hang.enqueue(True)
    async with app.worker(children=3, stop_timeout=0):
        for job in (heeds, deaf, hangs):
            await watch.auntil(NOTED.replace("note", "true"), job.id)
    assert row_of(database, heeds.id)["result"] == "told"
    for job in (deaf, hangs):
        assert (row_of(database, job.id)["state"], row_of(database, job.id)["attempt"]) == ("ready", 0)


async def test_a_checkpoint_survives_the_death_of_the_child_and_progress_is_stored(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection
) -> None:
    job = shop.goes_on.enqueue()
    async with app.worker(children=1):
        await watch.auntil(STATE, "succeeded", job.id)
    assert row_of(database, job.id)["result"] == {"resumed": {"page": 7}}
    assert runs_of(database, job.id) == [(1, 1, "crashed"), (2, 2, "succeeded")]


async def test_a_handler_ends_its_job_in_a_transaction_of_its_own(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection, dsn: str
) -> None:
    done, undone = shop.completes.enqueue(dsn, True), shop.completes.enqueue(dsn, False)
    async with app.worker(children=1):
        await watch.auntil(STATE, "succeeded", done.id)
        await watch.auntil(STATE, "dead", undone.id)
    assert row_of(database, done.id)["result"] == {"by": "hand"}
    assert errors_of(database, undone.id)[0][0] == "pgqueue.JobNotCommitted"


@pytest.fixture
def around(app: PgQueue[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Async middleware that does what a job's tags say; holds what it has seen."""
    seen: list[Any] = []

    async def obey(ctx: JobContext[Any], call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            seen.append(await call())
        except HandlerFailed as failure:
            seen.append(failure)
            if "swallow" in ctx.tags:
                return "rescued"
            if "give up" in ctx.tags:
                raise GiveUp("enough") from failure
            if "group" in ctx.tags:
                raise ExceptionGroup("of one", [failure]) from None
            raise
        return CHANGES[ctx.tags[0]](seen[-1]) if ctx.tags else seen[-1]

    monkeypatch.setattr(app.tasks, "middleware", [obey, *app.tasks.middleware])
    return seen


CHANGES: dict[str, Callable[[Any], Any]] = {"wrap": lambda value: [value], "nothing": lambda value: None}


async def test_async_middleware_sees_what_a_child_returned_and_what_it_returns_itself_is_the_result(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection, around: list[Any]
) -> None:
    plain, none = shop.where.enqueue(), shop.behave.enqueue("nothing")
    wrapped, dropped = (shop.where.using(tags=[how]).enqueue() for how in CHANGES)
    said, typed = shop.keep_result.enqueue("nothing"), shop.measure.enqueue(3)
    unkept = shop.echo.enqueue("x" * 100_000)
    jobs = (plain, none, wrapped, dropped, said, typed, unkept)
    async with app.worker(children=1, concurrency=1):
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id)
    assert seen_pid(around) != os.getpid()
    results = [row_of(database, job.id)["result"] for job in jobs]
    assert results == [around[0], None, [around[2]], None, {"kept": "nothing"}, {"width": 3, "height": 6}, None]
    assert around[5] == shop.Size(3, 6)
    assert row_of(database, unkept.id)["error_type"] == "pgqueue.InvalidPayload"


def seen_pid(around: list[Any]) -> Any:
    return around[0]["pid"]


async def test_async_middleware_meets_the_failure_of_a_child_and_what_it_lets_pass_counts_as_it_is(
    app: PgQueue[Any], watch: Watch, database: psycopg.Connection, around: list[Any]
) -> None:
    ends = {
        "BadImage": ("dead", "tests.processes.shop.BadImage", []),
        "Snooze": ("snooze", "pgqueue.Snooze", []),
        "_exit": ("crashed", "pgqueue.ChildDied", []),
        "error": ("retry", "ValueError", []),
        "RetryAfter": ("retry", "pgqueue.RetryAfter", ["group"]),
        "SystemExit": ("dead", "pgqueue.GiveUp", ["give up"]),
        "GiveUp": ("succeeded", None, ["swallow"]),
    }
    jobs = {how: shop.behave.using(tags=tags).enqueue(how) for how, (_, _, tags) in ends.items()}
    async with app.worker(children=1, concurrency=1):
        for how, (outcome, _, _) in ends.items():
            await watch.auntil(RECORDED, jobs[how].id, outcome)
    for how, (_, kind, _) in ends.items():
        assert errors_of(database, jobs[how].id)[-1][0] == kind, how
    assert row_of(database, jobs["GiveUp"].id)["result"] == "rescued"
    assert row_of(database, jobs["_exit"].id)["crashes"] == 1
    met = dict(zip(ends, around, strict=True))
    assert (met["error"].error_type, met["error"].error) == ("ValueError", "no such image")
    assert "shop.py" in met["error"].traceback
    assert "ValueError: no such image" in str(met["error"])


async def test_busy_children_hold_up_no_handler_of_another_kind(app: PgQueue[Any], watch: Watch) -> None:
    busy = [shop.hold_the_gil.enqueue() for _ in range(3)]
    async with app.worker(children=1, stop_timeout=0):
        await watch.auntil(NOTED.replace("note", "true"), busy[0].id)
        for _ in range(20):
            shop.in_a_thread.enqueue()
        await watch.auntil(ENDED, 20, "succeeded")
