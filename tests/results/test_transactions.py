"""What can be asked of a job inside and after the transaction that made it: an answer at once, never a wait for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from pgqueue import Job, JobNotCommitted, JobNotFound, PgQueue, Task
from pgqueue.backend import AskStates, Question
from pgqueue.inspect.results import Results
from pgqueue.model.clock import monotonic
from pgqueue.model.payloads import Payloads
from pgqueue.postgres.literals import numbers
from pgqueue.postgres.statements import statement
from pgqueue.tasks import Registry
from tests.enqueue.handles import Handle
from tests.support import COPIED

Sending = Task[..., object]
BLOCKING: tuple[Callable[[Job[Any]], object], ...] = (Job.status, Job.wait, Job.result, Job.cancel)
AWAITING: tuple[Callable[[Job[Any]], Awaitable[object]], ...] = (Job.astatus, Job.await_, Job.aresult, Job.acancel)
PATIENCE = 10


async def refused(job: Job[Any], kind: type[Exception], said: str) -> None:
    """Ask in every way, and be refused at once."""
    for ask in BLOCKING:
        with pytest.raises(kind, match=said):
            ask(job)
    async with asyncio.timeout(PATIENCE):
        for await_ in AWAITING:
            with pytest.raises(kind, match=said):
                await await_(job)


async def test_on_every_handle_an_open_transaction_is_told_from_a_committed_and_a_rolled_back_one(
    handle: Handle, send: Sending, pgq: PgQueue[None]
) -> None:
    job = await handle.enqueue(send, 1)
    others: list[Job[object]] = await handle.enqueue_many(pgq, [send.job(2), send.job(3)])
    await refused(job, JobNotCommitted, f"The transaction that enqueued job {job.id} is still open")
    for other in others:
        with pytest.raises(JobNotCommitted):
            other.result()
    with pytest.raises(JobNotCommitted):
        pgq.gather([job, *others])
    await handle.commit()
    assert [one.status() for one in (job, *others)] == ["ready"] * 3
    assert [await one.astatus() for one in (job, *others)] == ["ready"] * 3
    assert job.cancel() == "cancelled"
    assert await job.await_() == "cancelled"
    never = await handle.enqueue(send, 4)
    (nor_this,) = await handle.enqueue_many(pgq, [send.job(5)])
    await handle.rollback()
    await refused(never, JobNotFound, f"Job {never.id} never existed: .* was rolled back")
    with pytest.raises(JobNotFound, match="never existed"):
        nor_this.result()
    await pgq.aclose()


async def test_a_bulk_by_copy_is_refused_inside_its_transaction_too(
    send: Sending, pgq: PgQueue[None], dsn: str
) -> None:
    with psycopg.connect(dsn) as connection:
        jobs = pgq.using(connection).enqueue_many([send.job(number) for number in range(COPIED)])
        with pytest.raises(JobNotCommitted):
            pgq.gather(jobs)
        await refused(jobs[-1], JobNotCommitted, "still open")
    assert jobs[-1].status() == "ready"
    await pgq.aclose()


async def test_a_bound_transaction_is_the_callers_as_well(send: Sending, pgq: PgQueue[None], dsn: str) -> None:
    with psycopg.connect(dsn) as connection, pgq.bind(connection):
        job = send.enqueue(1)
        await refused(job, JobNotCommitted, "still open")
    assert job.status() == "ready"
    await pgq.aclose()


def test_on_an_autocommitting_connection_and_on_our_own_the_job_is_committed(
    send: Sending, pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    bulk = [send.job(number) for number in range(COPIED)]
    jobs = [
        send.enqueue(1),
        send.using(database).enqueue(2),
        *pgq.enqueue_many(bulk),
        *pgq.using(database).enqueue_many(bulk),
    ]
    assert {job.transaction for job in jobs} == {None}
    assert {job.status() for job in (*jobs[:3], jobs[-1])} == {"ready"}


def test_a_transaction_block_on_an_autocommitting_connection_is_open_until_its_end(
    send: Sending, database: psycopg.Connection
) -> None:
    with database.transaction():
        job = send.using(database).enqueue(1)
        with pytest.raises(JobNotCommitted):
            job.result()
    assert job.status() == "ready"


def test_a_job_of_a_savepoint_that_was_rolled_back_is_not_there_after_the_commit(send: Sending, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("select 1")
        with connection.transaction(force_rollback=True):
            never = send.using(connection).enqueue(1)
        kept = send.using(connection).enqueue(2)
        with pytest.raises(JobNotCommitted):
            never.result()
    assert kept.status() == "ready"
    with pytest.raises(JobNotFound):
        never.result()


def test_by_its_id_an_uncommitted_job_is_not_there_yet(send: Sending, pgq: PgQueue[None], dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        job = send.using(connection).enqueue(1)
        with pytest.raises(JobNotFound, match=f"There is no job {job.id}"):
            pgq.job(job.id).result()
        connection.commit()
        assert pgq.job(job.id).status() == "ready"


class Behind:
    """A backend whose first answer is by the snapshot of an older transaction."""

    def __init__(self, old: psycopg.Connection[Any], database: psycopg.Connection[Any]) -> None:
        self._connections = [old, database]
        self.answers: list[Any] = []

    def ask(self, question: Question) -> Any:
        """Answer from the next connection."""
        assert isinstance(question, AskStates)
        given = {
            "ids": numbers(question.ids),
            "transactions": numbers("NULL" if one is None else one.transaction or "NULL" for one in question.origins),
        }
        rows = self._connections.pop(0).execute(statement("jobs/states", "pgqueue"), given)
        self.answers.append({job_id: state for job_id, state, _ in rows.fetchall()})
        return self.answers[-1]

    async def aask(self, question: Question) -> Any:
        """Answer as ``ask`` does."""
        return self.ask(question)


def test_a_job_that_is_committed_between_the_two_looks_of_one_answer_is_found(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn) as connection, psycopg.connect(dsn) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        job = send.using(connection).enqueue(1)
        old.execute("select from pgqueue.job")
        connection.commit()
        behind = Behind(old, database)
        answers = Results(behind, Registry(), Payloads(None, ()), monotonic)
        assert answers.status(job) == "ready"
        assert behind.answers == [{job.id: "uncommitted"}, {job.id: "ready"}]


async def test_a_wait_that_begins_after_the_commit_of_another_thread_ends_well(pgq: PgQueue[None], dsn: str) -> None:
    @pgq.task
    async def double(number: int) -> int:
        return 2 * number

    def enqueue() -> Job[int]:
        with psycopg.connect(dsn) as connection:
            return double.using(connection).enqueue(21)

    async with pgq.worker(concurrency=2):
        job = await asyncio.to_thread(enqueue)
        assert await job.aresult(PATIENCE) == 42
        assert await asyncio.to_thread(job.result, PATIENCE) == 42
    await pgq.aclose()
