"""What a handler may say of its job: progress, a result before its end, where to go on."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgqueue import BackendUnavailable, HandleError, InvalidOption, InvalidPayload, JobContext, PgQueue, RetryPolicy
from pgqueue.backend import Progress
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.reporter import EVERY, Reporter
from pgqueue.worker.run import Desk
from tests.queues.orders import Door
from tests.support import Watch
from tests.worker.fakes import Hands, state_of
from tests.worker.harness import STATE, row_of

NEVER = RetryPolicy(max_retries=0)
PROGRESS = "select done, note, run from pgqueue.job_progress where job_id = %s"
NOTED = "select true from pgqueue.job_progress where job_id = %s and note = %s"


async def noted(watch: Watch, job: Any, note: str) -> None:
    """Wait for a note; nothing tells of that table, so the watcher looks every half second."""
    await watch.auntil(NOTED, job.id, note, timeout=10)


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_progress_is_written_seldom_and_the_last_word_counts(
    executor: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door()
    loop = asyncio.get_running_loop()

    def say(ctx: JobContext[None]) -> None:
        for step in range(1001):
            ctx.progress(step / 1000, f"step {step}")

    async def on_the_loop(ctx: JobContext[None]) -> None:
        say(ctx)
        await door.pass_through()

    def in_a_thread(ctx: JobContext[None]) -> None:
        say(ctx)
        asyncio.run_coroutine_threadsafe(door.pass_through(), loop).result()

    chosen: Any = on_the_loop if executor == "loop" else in_a_thread
    job = pgq.task(name="work", context=True)(chosen).enqueue()
    async with pgq.worker(concurrency=1) as worker:
        writes, note = list[int](), worker._backend.note

        async def counted(progress: Any) -> None:
            writes.append(len(progress))
            await note(progress)

        monkeypatch.setattr(worker._backend, "note", counted)
        await noted(watch, job, "step 1000")
        assert database.execute(PROGRESS, (job.id,)).fetchone() == (1.0, "step 1000", 1)
        assert len(writes) <= 3
        door.opened.set()
        await watch.auntil(STATE, "succeeded", job.id)


async def test_the_progress_of_a_job_that_has_ended_goes_with_the_next_tidying(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    door = Door()

    @pgq.task(context=True)
    async def work(ctx: JobContext[None]) -> None:
        ctx.progress(note="begun")
        await door.pass_through()
        ctx.progress(1, "done")

    job = work.enqueue()
    async with pgq.worker(concurrency=1) as worker:
        await noted(watch, job, "begun")
        assert database.execute(PROGRESS, (job.id,)).fetchone() == (None, "begun", 1)
        door.opened.set()
        await watch.auntil(STATE, "succeeded", job.id)
        reporter = next(one for one in worker.outlook.services if isinstance(one, Reporter))
        await reporter.stop()  # a last word that was under way
        await worker._backend.tidy()
        assert database.execute(PROGRESS, (job.id,)).fetchone() is None


async def test_what_is_no_progress_is_refused(pgq: PgQueue[None], watch: Watch) -> None:
    refused: list[str] = []

    @pgq.task(context=True)
    async def work(ctx: JobContext[None]) -> None:
        wrong: list[Any] = [(2, None), (-0.1, None), ("half", None), (float("nan"), None), (0.5, "x" * 501), (0.5, 5)]
        for done, note in wrong:
            with pytest.raises(InvalidOption):
                ctx.progress(done, note)
            refused.append(repr(done))
        ctx.progress()

    job = work.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    assert len(refused) == 6


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_a_result_that_was_said_is_kept_whatever_becomes_of_the_run(
    executor: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    def work(ctx: JobContext[None], how: str) -> Any:
        ctx.result({"rows": 1})
        ctx.result({"rows": 2})
        if how == "fail":
            raise ValueError
        return {"returned": True} if how == "return" else None

    async def awork(ctx: JobContext[None], how: str) -> Any:
        return work(ctx, how)

    chosen: Any = awork if executor == "loop" else work
    task = pgq.task(name="work", context=True, retry=NEVER)(chosen)
    jobs = {how: task.enqueue(how) for how in ("fail", "return", "none")}
    async with pgq.worker(concurrency=3):
        await watch.auntil(STATE, "dead", jobs["fail"].id)
        await watch.auntil(STATE, "succeeded", jobs["return"].id)
        await watch.auntil(STATE, "succeeded", jobs["none"].id)
    results = {how: row_of(database, job.id)["result"] for how, job in jobs.items()}
    assert results == {"fail": {"rows": 2}, "return": {"returned": True}, "none": {"rows": 2}}


async def test_a_result_that_cannot_be_kept_is_refused_where_it_is_said(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task(context=True)
    async def work(ctx: JobContext[None]) -> None:
        with pytest.raises(InvalidPayload):
            ctx.result("x" * 70_000)
        with pytest.raises(InvalidPayload):
            ctx.result(object())

    job = work.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_a_later_run_goes_on_where_an_earlier_one_kept(
    executor: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    seen: list[Any] = []

    def work(ctx: JobContext[None]) -> None:
        seen.append(ctx.resumed)
        if len(seen) < 3:
            ctx.checkpoint({"page": len(seen)})
            raise ValueError

    async def awork(ctx: JobContext[None]) -> None:
        seen.append(ctx.resumed)
        if len(seen) < 3:
            with pytest.raises(HandleError, match="block the event loop"):
                ctx.checkpoint({"page": 0})
            await ctx.acheckpoint({"page": len(seen)})
            raise ValueError

    chosen: Any = awork if executor == "loop" else work
    policy = RetryPolicy(max_retries=5, delays=["10ms"])
    job = pgq.task(name="work", context=True, retry=policy)(chosen).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
        await watch.auntil("select count(*) = 0 from pgqueue.job_checkpoint", timeout=10)
    assert seen == [None, {"page": 1}, {"page": 2}]


async def test_progress_is_written_twice_a_second_at_most_and_again_if_it_could_not_be() -> None:
    written: list[list[Progress]] = []
    clock, away = Hands(), [False]

    class Store:
        async def note(self, progress: list[Progress]) -> None:
            if away[0]:
                raise BackendUnavailable("away", "wait")
            written.append(progress)

    store: Any = Store()
    desk = Desk(state_of(clock), store, Registry(), Payloads(None, ()), store)
    reporter = Reporter(store, desk, clock, Events())
    assert await reporter.run_once() is None
    desk.progress(Progress(1, 1, 0.1, None))
    desk.progress(Progress(1, 1, 0.2, None))
    assert await reporter.run_once() == EVERY
    desk.progress(Progress(1, 1, 0.3, None))
    clock.now += 0.1
    assert await reporter.run_once() == pytest.approx(EVERY - 0.1)
    assert written == [[Progress(1, 1, 0.2, None)]]
    clock.now += EVERY
    away[0] = True
    with pytest.raises(BackendUnavailable):
        await reporter.run_once()
    away[0] = False
    desk.progress(Progress(2, 1, 0.9, None))
    clock.now += EVERY
    await reporter.run_once()
    assert written[1:] == [[Progress(1, 1, 0.3, None), Progress(2, 1, 0.9, None)]]
