"""Replace: a waiting job gets the contents of the new call under its id; what runs or has ended stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from pgqueue import PgQueue, Task, Unique
from pgqueue.model.unique import Scope
from pgqueue.postgres.connections import Settings
from tests.keys.hold import Row, pid, rows, wait_until_blocked
from tests.storage.hands import hands
from tests.support import Watch

Sending = Task[..., None]
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
REPLACE = Unique(on_conflict="replace")
FACTS = """
    select to_jsonb(j) - array['id', 'enqueued_at', 'run', 'has_key'] from pgqueue.job j where j.id = %s::bigint
"""
PLACES = """
    select 'ready', r.run from pgqueue.ready r join pgqueue.job j on j.id = r.job_id and j.run = r.run
    where r.job_id = %(id)s::bigint
    union all select 'scheduled', s.run from pgqueue.scheduled s where s.job_id = %(id)s::bigint
"""


def places(database: psycopg.Connection, job_id: str) -> list[Any]:
    """Return where a job stands, with its run."""
    return database.execute(PLACES, {"id": job_id}).fetchall()


@pytest.mark.parametrize("before", [{}, {"delay": "1h"}], ids=["ready", "scheduled"])
@pytest.mark.parametrize("after", [{}, {"delay": "2h"}], ids=["to ready", "to scheduled"])
def test_a_waiting_job_moves_where_the_new_call_says(
    send: Sending, database: psycopg.Connection, before: dict[str, Any], after: dict[str, Any]
) -> None:
    first = send.using(key="k", **before).enqueue(1)
    again = send.using(key="k", unique=REPLACE, **after).enqueue(2)
    assert (again.id, again.created, again.replaced) == (first.id, False, True)
    assert places(database, first.id) == [("scheduled" if after else "ready", 2)]
    row = database.execute("select args, run from pgqueue.job").fetchall()
    assert row == [({"user_id": 2}, 2)]


def test_a_replaced_job_has_every_fact_of_the_new_call_and_none_of_the_old(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    @pgq.task(name="other", priority=7)
    def other(path: str) -> None: ...

    full: dict[str, Any] = {"run_at": NOON, "max_retries": 3, "timeout": 5, "headers": {"a": "b"}, "tags": ["x"]}
    for first, second in ((full, {"run_at": NOON}), ({"run_at": NOON}, full)):
        job = send.using(key="k", priority=2, **first).enqueue(1)
        other.using(key="k", unique=REPLACE, **second).enqueue("a")
        plain = other.using(key="another", **second).enqueue("a")
        replaced, fresh = (database.execute(FACTS, (one.id,)).fetchone() for one in (job, plain))
        assert replaced == fresh
        database.execute("select pgqueue.cancel(id) from pgqueue.job")


async def test_attempts_begin_anew_and_the_run_grows(
    send: Sending, database: psycopg.Connection, settings: Settings
) -> None:
    async with hands(settings) as worker:
        job = send.using(key="k").enqueue(1)
        assert await worker.finish(await worker.take(), "retry", delay=3600) == ["done"]
        assert send.using(key="k", unique=REPLACE).enqueue(2).replaced
        (again,) = await worker.take()
        assert (str(again.id), again.run, again.attempt, again.crashes) == (job.id, 3, 0, 0)
        assert '"user_id": 2' in again.payload
        assert await worker.finish([again]) == ["done"]
    assert rows(database) == []


async def test_a_running_job_is_held_and_stays_as_it_is(
    send: Sending, database: psycopg.Connection, settings: Settings
) -> None:
    async with hands(settings) as worker:
        job = send.using(key="k").enqueue(1)
        held = await worker.take()
        again = send.using(key="k", unique=REPLACE, delay="1h").enqueue(2)
        assert (again.id, again.created, again.replaced) == (job.id, False, False)
        assert database.execute("select run, args from pgqueue.job").fetchall() == [(1, {"user_id": 1})]
        assert await worker.finish(held) == ["done"]
    assert rows(database) == []


@pytest.mark.parametrize("scope", ["retention", "ttl"])
async def test_a_job_that_has_ended_is_held_and_stays_as_it_is(
    send: Sending, database: psycopg.Connection, settings: Settings, scope: Scope
) -> None:
    async with hands(settings) as worker:
        job = send.using(key="k", unique=Unique(scope=scope, period="1h")).enqueue(1)
        assert await worker.finish(await worker.take()) == ["done"]
    again = send.using(key="k", unique=REPLACE).enqueue(2)
    assert (again.id, again.created, again.replaced) == (job.id, False, False)
    assert database.execute("select id::text, state, args from pgqueue.all_jobs").fetchall() == [
        (job.id, "succeeded", {"user_id": 1})
    ]


@pytest.mark.parametrize("scope", ["started", "finished", "retention", "ttl"])
@pytest.mark.parametrize("asked", ["started", "finished", "retention", "ttl"])
async def test_a_replaced_jobs_key_stays_held_as_the_first_call_said(
    send: Sending, database: psycopg.Connection, settings: Settings, scope: Scope, asked: Scope
) -> None:
    first = send.using(key="k", unique=Unique(scope=scope, period="1h")).enqueue(1)
    before = rows(database)
    assert send.using(key="k", unique=Unique(scope=asked, period="2h", on_conflict="replace")).enqueue(2).replaced
    assert rows(database) == before == [Row("default", "k", first.id, scope, 3600.0)]
    async with hands(settings) as worker:
        assert await worker.finish(await worker.take()) == ["done"]
    assert bool(rows(database)) == (scope in ("retention", "ttl"))


@pytest.mark.parametrize("scope", ["started", "finished", "retention", "ttl"])
@pytest.mark.parametrize("asked", ["finished", "ttl"])
def test_a_replaced_and_cancelled_job_frees_its_key_as_the_first_call_said(
    send: Sending, database: psycopg.Connection, scope: Scope, asked: Scope
) -> None:
    first = send.using(key="k", unique=Unique(scope=scope, period="1h")).enqueue(1)
    assert send.using(key="k", unique=Unique(scope=asked, period="2h", on_conflict="replace")).enqueue(2).replaced
    assert database.execute("select pgqueue.cancel(%s)", (first.id,)).fetchone() == ("cancelled",)
    assert bool(rows(database)) == (scope in ("retention", "ttl"))


async def test_a_replace_during_a_claim_leaves_the_old_run_without_effect(
    send: Sending, database: psycopg.Connection, settings: Settings
) -> None:
    """The replacer cannot see a lease that is not committed; the fence drops the old run's outcome."""
    async with hands(settings) as worker:
        job = send.using(key="k").enqueue(1)
        async with worker.transaction("claiming"):
            old = (await worker.claim()).jobs
            assert send.using(key="k", unique=REPLACE).enqueue(2).replaced
        new = await worker.take()
        assert [(str(one.id), one.run) for one in old + new] == [(job.id, 1), (job.id, 2)]
        assert await worker.finish(old) == ["lost"]
        assert [row.job_id for row in rows(database)] == [job.id]
        assert await worker.finish(new) == ["done"]
        assert database.execute("select run, state, args from pgqueue.job_history").fetchall() == [
            (2, "succeeded", {"user_id": 2})
        ]
    assert rows(database) == []


async def test_a_claim_during_a_replace_takes_the_old_call_and_its_outcome_is_dropped(
    send: Sending, database: psycopg.Connection, dsn: str, settings: Settings
) -> None:
    """A claim waits for nobody: it sees the job as it was before the open transaction."""
    async with hands(settings) as worker:
        send.using(key="k").enqueue(1)
        with psycopg.connect(dsn) as connection:
            assert send.using(connection, key="k", unique=REPLACE).enqueue(2).replaced
            old = await worker.take()
            assert [job.run for job in old] == [1]
            assert await worker.finish(old) == ["locked"]
            connection.commit()
        assert await worker.finish(old) == ["lost"]
        new = await worker.take()
        assert [job.run for job in new] == [2]
        assert await worker.finish(new) == ["done"]


def test_two_that_replace_at_once_follow_one_another(
    send: Sending, dsn: str, database: psycopg.Connection, run_in_thread: Any
) -> None:
    job = send.using(key="k").enqueue(0)
    with psycopg.connect(dsn) as one, psycopg.connect(dsn, autocommit=True) as two:
        assert send.using(one, key="k", unique=REPLACE).enqueue(1).replaced
        later = run_in_thread(lambda: send.using(two, key="k", unique=REPLACE).enqueue(2))
        wait_until_blocked(database, pid(two))
        one.commit()
        assert later.result().replaced
    assert database.execute("select id::text, run, args from pgqueue.job").fetchall() == [(job.id, 3, {"user_id": 2})]


def test_a_rolled_back_replacement_leaves_the_job_as_it_was(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    job = send.using(key="k", delay="1h").enqueue(1)
    facts = database.execute(FACTS, (job.id,)).fetchone()
    with psycopg.connect(dsn) as connection:
        assert send.using(connection, key="k", unique=REPLACE).enqueue(2).replaced
        connection.rollback()
    assert database.execute(FACTS, (job.id,)).fetchone() == facts
    assert places(database, job.id) == [("scheduled", 1)]


async def test_a_worker_that_sleeps_runs_what_was_moved_to_now(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[int] = []

    @pgq.task(name="note")
    async def note(number: int) -> None:
        ran.append(number)

    await note.using(key="k", delay="1h").aenqueue(1)
    async with pgq.worker(concurrency=1):
        await watch.auntil("select count(*) > 0 from pgqueue.worker_idle")
        assert (await note.using(key="k", unique=REPLACE).aenqueue(2)).replaced
        await watch.auntil("select count(*) = 1 from pgqueue.job_history where state = 'succeeded'")
    await pgq.aclose()
    assert ran == [2]
