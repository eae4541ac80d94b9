"""However a job ends, or does not, who waits for it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgqueue import GiveUp, Job, JobContext, JobFailed, JobNotFound, PgQueue, RetryPolicy, WaitTimeout
from pgqueue.inspect.results import SHORTEST_PAUSE
from tests.support import Watch

PATIENCE = 20


async def failure_of(job: Job[Any]) -> JobFailed:
    """Return what both ways to ask for the result raise."""
    with pytest.raises(JobFailed) as failure:
        await job.aresult(PATIENCE)
    with pytest.raises(JobFailed, match=failure.value.problem[:20]):
        job.result(PATIENCE)
    return failure.value


async def test_a_dead_job_says_type_message_and_traceback(pgq: PgQueue[None]) -> None:
    @pgq.task(name="fail", retry=RetryPolicy(max_retries=0))
    async def fail() -> int:
        raise GiveUp("no such order\nsecond line")

    async with pgq.worker(concurrency=1):
        job = fail.enqueue()
        assert await job.await_(PATIENCE) == "dead"
        failure = await failure_of(job)
    assert (failure.state, failure.error_type) == ("dead", "pgqueue.GiveUp")
    assert failure.problem == f"Job {job.id} of fail is dead and has no result (pgqueue.GiveUp: no such order)."
    assert failure.remedy == f"See: pgqueue jobs show {job.id}"
    assert failure.traceback is not None
    assert "raise GiveUp" in failure.traceback
    await pgq.aclose()


async def test_a_cancelled_job_says_so_wherever_it_stood(pgq: PgQueue[None]) -> None:
    started = asyncio.Event()

    @pgq.task(name="hang")
    async def hang() -> int:
        started.set()
        await asyncio.Event().wait()
        return 1

    scheduled, ready = hang.using(delay="1h").enqueue(), hang.using(queue="unserved").enqueue()
    assert [scheduled.status(), await ready.astatus()] == ["scheduled", "ready"]
    assert [scheduled.cancel(), await ready.acancel()] == ["cancelled", "cancelled"]
    async with pgq.worker(concurrency=1, queues=["default"]):
        running = hang.enqueue()
        async with asyncio.timeout(PATIENCE):
            await started.wait()
        assert await running.astatus() == "running"
        assert await running.acancel() == "signalled"
        for job in (scheduled, ready, running):
            failure = await failure_of(job)
            assert (failure.state, failure.error_type, failure.traceback) == ("cancelled", None, None)
            assert failure.problem == f"Job {job.id} of hang is cancelled and has no result."
    assert [job.cancel() for job in (scheduled, ready, running)] == ["cancelled"] * 3
    await pgq.aclose()


async def test_a_job_that_has_succeeded_cannot_be_cancelled(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def one() -> int:
        return 1

    job = one.enqueue()
    async with pgq.worker(concurrency=1):
        await job.await_(PATIENCE)
    assert [job.cancel(), await job.acancel(), job.status(), job.result()] == ["succeeded", "succeeded", "succeeded", 1]
    await pgq.aclose()


async def test_a_wait_that_is_over_names_state_and_queue_and_the_job_goes_on(pgq: PgQueue[None]) -> None:
    release = asyncio.Event()

    @pgq.task(name="slow", queue="slow lane")
    async def slow() -> str:
        await release.wait()
        return "done"

    job = slow.enqueue()
    with pytest.raises(WaitTimeout, match=rf"Job {job.id} of slow has not ended in 0.02 s, it is ready\..*'slow lane'"):
        job.result(0.02)
    async with pgq.worker(concurrency=1):
        with pytest.raises(WaitTimeout, match=r"it is (ready|running)\..*'slow lane'"):
            await job.aresult("20ms")
        release.set()
        assert await job.aresult(PATIENCE) == "done"
    await pgq.aclose()


async def test_a_wait_goes_on_through_retries(pgq: PgQueue[None]) -> None:
    @pgq.task(context=True, retry=RetryPolicy(max_retries=3, delays=[0.05]))
    async def flaky(ctx: JobContext[None]) -> int:
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt

    async with pgq.worker(concurrency=1):
        assert await flaky.enqueue().aresult(PATIENCE) == 3
    await pgq.aclose()


async def test_an_operators_retry_brings_the_job_back_under_the_same_id(pgq: PgQueue[None], watch: Watch) -> None:
    healed = asyncio.Event()

    @pgq.task(retry=RetryPolicy(max_retries=0))
    async def heal() -> str:
        if not healed.is_set():
            raise ValueError("ill")
        return "well"

    async with pgq.worker(concurrency=1):
        job = heal.enqueue()
        assert (await failure_of(job)).error_type == "ValueError"
        healed.set()
        assert await asyncio.to_thread(pgq.inspector.retry, job.id) == "retried"
        assert await job.aresult(PATIENCE) == "well"
        assert await pgq.job(job.id).aresult(PATIENCE) == "well"
    await pgq.aclose()


async def test_past_its_retention_a_job_is_not_found(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    @pgq.task
    async def one() -> int:
        return 1

    job = one.enqueue()
    async with pgq.worker(concurrency=1):
        assert await job.aresult(PATIENCE) == 1
    database.execute("select pgqueue.make_partition('job_history', '2020-01-01')")
    database.execute("update pgqueue.job_history set finished_at = '2020-01-01 12:00+00'")
    assert job.result() == 1
    database.execute("alter table pgqueue.job_history detach partition pgqueue.job_history_20200101")
    database.execute("drop table pgqueue.job_history_20200101")
    for ask in (job.status, job.wait, job.result, job.cancel, pgq.job(job.id).result):
        with pytest.raises(JobNotFound, match=rf"There is no job {job.id}\. It is past its retention"):
            ask()
    await pgq.aclose()


NO_IDS: list[Any] = [
    *("", "x", "-1", "0", "1.0", " 1", "1\n", "²", "٣", "9" * 19, "9" * 5000, "1e3"),
    *(10**5000, None, b"1"),
]


@pytest.mark.parametrize("job_id", NO_IDS, ids=[str(number) for number in range(len(NO_IDS))])
def test_what_is_no_id_is_refused_by_name(pgq: PgQueue[None], job_id: Any) -> None:
    with pytest.raises(JobNotFound, match="is not a job's id"):
        pgq.job(job_id)


def test_an_id_may_have_zeros_in_front(pgq: PgQueue[None]) -> None:
    @pgq.task
    def note() -> None: ...

    job = note.enqueue()
    assert pgq.job(f"00{job.id}").status() == "ready"


def test_an_id_that_no_job_has_is_not_found(pgq: PgQueue[None]) -> None:
    for job_id in ("1000000000", str(2**63 - 1)):
        with pytest.raises(JobNotFound, match="There is no job"):
            pgq.job(job_id).result()


async def test_waits_that_are_cancelled_leave_the_pool_whole(pgq: PgQueue[None], dsn: str, watch: Watch) -> None:
    @pgq.task
    def note(number: int) -> None: ...

    jobs = pgq.enqueue_many(note.job(number) for number in range(12))
    blocked = "select count(*) >= 8 from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'pgqueue %%'"
    with psycopg.connect(dsn) as locker:
        locker.execute("lock table pgqueue.job in access exclusive mode")
        waits = [asyncio.create_task(job.aresult()) for job in jobs]
        await watch.auntil(blocked)  # eight in a statement, the others in want of a connection
        for wait in waits:
            wait.cancel()
        assert {type(end) for end in await asyncio.gather(*waits, return_exceptions=True)} == {asyncio.CancelledError}
    async with asyncio.timeout(PATIENCE):
        assert {*await asyncio.gather(*(job.astatus() for job in jobs))} == {"ready"}
    between = [asyncio.create_task(job.aresult()) for job in jobs]
    await asyncio.wait(between, timeout=10 * SHORTEST_PAUSE)
    for wait in between:
        wait.cancel()
    await asyncio.wait(between)
    async with asyncio.timeout(PATIENCE):
        assert {*await asyncio.gather(*(job.astatus() for job in jobs))} == {"ready"}
    await pgq.aclose()
