"""Races of claims, finishes, rescues and releases, each made to happen: nobody waits, nothing is lost or done twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors

from pgqueue.postgres.connections import Settings
from tests.storage.hands import ask, enqueue, hands, ids, mutate, outcome, rows, transaction

LEASES = "select count(*) from pgqueue.lease"
MISPLACED = "select count(*) from pgqueue.misplaced_jobs"


def key_of(database: psycopg.Connection, job_id: int) -> str:
    """Give a job a uniqueness key, as enqueue with a key will."""
    database.execute("update pgqueue.job set has_key = true where id = %s", (job_id,))
    database.execute("insert into pgqueue.job_key (queue, key, job_id) values ('default', 'k', %s)", (job_id,))
    return "k"


@pytest.mark.parametrize("by_run", [True, False])
async def test_a_stale_entry_after_cancel_and_operator_retry_is_not_claimed_twice(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, by_run: bool
) -> None:
    if not by_run:
        mutate(monkeypatch, "ready/claim", "j.id = taken.job_id and j.run = taken.run", "j.id = taken.job_id")
    (job_id,) = enqueue(database)
    assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
    assert ask(database, "select pgqueue.retry(%s)", job_id) == "retried"
    async with hands(settings) as one, hands(settings) as other:
        held = (await one.claim(1)).jobs + (await other.claim(1)).jobs + (await one.claim(1)).jobs
        assert [(job.id, job.run) for job in held] == [(job_id, 2)] * (1 if by_run else 2)
        assert ask(database, MISPLACED) == (0 if by_run else 1)
        for job in held:
            for worker in (one, other):
                await worker.finish([job])


async def test_after_a_restore_that_reuses_ids_an_old_finish_is_lost(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        enqueue(database)
        held = (await worker.claim()).jobs
        database.execute("delete from pgqueue.lease")
        database.execute("delete from pgqueue.job")
        database.execute("alter sequence pgqueue.job_id_seq restart")
        assert enqueue(database) == ids(held)
        assert await worker.finish(held) == ["lost"]
        assert ask(database, "select state from pgqueue.all_jobs") == "ready"


async def test_a_finish_in_the_name_of_another_worker_is_lost(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker, hands(settings) as other:
        enqueue(database)
        held = (await worker.claim()).jobs
        assert await other.finish(held) == ["lost"]
        assert await worker.finish(held) == ["done"]
        assert await worker.finish(held) == ["lost"]
        assert await worker.settle(held) == {(held[0].id, 1)}


async def test_an_answer_locked_keeps_the_lease(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        enqueue(database, 2)
        held = (await worker.claim()).jobs
        with transaction(settings.dsn) as business:
            business.execute("select from pgqueue.job where id = %s for update", (held[0].id,))
            assert await worker.finish(held) == ["locked", "done"]
        assert (ask(database, LEASES), ask(database, MISPLACED)) == (1, 0)
        assert await worker.finish(held[:1]) == ["done"]
        assert await worker.finish([], emptied=[held[0].lease]) == []
        assert ask(database, LEASES) == 0


@pytest.mark.parametrize("verdict", ["succeeded", "retry"])
async def test_two_runs_of_one_job_in_one_flush_have_an_answer_each(
    settings: Settings, database: psycopg.Connection, verdict: str
) -> None:
    """A worker may hold a run that was cancelled while its claim was in flight, and the run that an operator made of it."""
    async with hands(settings) as worker:
        (job_id,) = enqueue(database)
        async with worker.transaction("claiming"):
            first = (await worker.claim()).jobs
            assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
        assert ask(database, "select pgqueue.retry(%s)", job_id) == "retried"
        second = await worker.take()
        assert [(job.id, job.run) for job in first + second] == [(job_id, 1), (job_id, 2)]
        answers = await worker.store.finish([outcome(first[0]), outcome(second[0])], [], 0.0)
        assert answers == ["lost", "done"]


@pytest.mark.parametrize("holds", ["the job", "its key"])
async def test_an_open_transaction_that_holds_a_row_stops_no_finish(
    settings: Settings, database: psycopg.Connection, holds: str
) -> None:
    """An enqueue of a duplicate key locks the key's row even when it changes nothing."""
    async with hands(settings) as worker:
        held_up, free = enqueue(database, 2)
        key = key_of(database, held_up)
        jobs = (await worker.claim()).jobs
        with transaction(settings.dsn) as business:
            if holds == "the job":
                business.execute("select from pgqueue.job where id = %s for update", (held_up,))
            else:
                business.execute(
                    "insert into pgqueue.job_key (queue, key, job_id) values ('default', %s, 0) on conflict (queue, key) "
                    "do update set job_id = 0 where pgqueue.job_key.until < now()",
                    (key,),
                )
            assert dict(zip(ids(jobs), await worker.finish(jobs), strict=True)) == {held_up: "locked", free: "done"}
            assert ask(database, MISPLACED) == 0
        assert await worker.finish([job for job in jobs if job.id == held_up]) == ["done"]
        assert ask(database, "select count(*) from pgqueue.job_key") == 0


@pytest.mark.parametrize("first", ["finisher", "rescuer"])
async def test_a_late_finisher_and_the_rescuer_do_not_wait_for_each_other(
    settings: Settings, database: psycopg.Connection, first: str
) -> None:
    async with hands(settings) as late, hands(settings) as rescuer:
        enqueue(database, 2)
        held = (await late.claim()).jobs
        silent = {late.id: 0}
        if first == "finisher":
            async with late.transaction("finishing"):
                assert await late.finish(held[:1]) == ["done"]
                rescue = await rescuer.store.rescue(silent)
                assert (rescue.workers, rescue.leases, rescue.jobs) == (1, 1, 1)
            assert ask(database, LEASES) == 1, "a lease of which a job was locked stays"
            assert (await rescuer.store.beats()).orphans
            await rescuer.store.rescue({})
        else:
            async with rescuer.transaction("moving"):
                assert (await rescuer.store.rescue(silent)).jobs == 2
                assert await late.finish(held) == ["locked", "locked"]
            assert await late.finish(held) == ["lost", "lost"]
        assert (ask(database, LEASES), ask(database, MISPLACED)) == (0, 0)
        back = await rescuer.take()
        assert Counter(job.run for job in back) == {2: 1 if first == "finisher" else 2}
        assert await rescuer.finish(back) == ["done"] * len(back)


async def test_a_rescue_leaves_a_job_that_somebody_holds_to_the_next_sweep(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as dead, hands(settings) as rescuer:
        enqueue(database, 2)
        held = (await dead.claim()).jobs
        with transaction(settings.dsn) as business:
            business.execute("select from pgqueue.job where id = %s for update", (held[0].id,))
            assert (await rescuer.store.rescue({dead.id: 0})).jobs == 1
            assert ask(database, MISPLACED) == 0
        assert (await rescuer.store.beats()).orphans
        assert (await rescuer.store.rescue({})).jobs == 1
        assert not (await rescuer.store.beats()).orphans


async def test_a_worker_that_beat_since_it_was_judged_is_not_taken_for_dead(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as slow, hands(settings) as rescuer:
        enqueue(database)
        held = (await slow.claim()).jobs
        beat = (await rescuer.store.beats()).counters[slow.id]
        assert slow.beat().alive
        rescue = await rescuer.store.rescue({slow.id: beat})
        assert (rescue.workers, rescue.jobs) == (0, 0)
        assert await slow.finish(held) == ["done"]


async def test_a_beat_does_not_revive_a_worker_that_was_taken_for_dead(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as dead, hands(settings) as rescuer:
        enqueue(database)
        held = (await dead.claim()).jobs
        await rescuer.store.rescue({dead.id: 0})
        assert not dead.beat().alive
        assert await dead.finish(held) == ["lost"]
        assert (await dead.claim()).jobs == [], "who is not known claims nothing"
        await dead.register("default")
        assert [job.run for job in await dead.take()] == [2]


async def test_a_run_that_was_rescued_is_lost_and_not_taken_for_recorded(
    settings: Settings, database: psycopg.Connection
) -> None:
    """Else nobody would hear of it: job.lost is told of runs that settle does not know."""
    async with hands(settings) as slow, hands(settings) as rescuer:
        enqueue(database)
        held = (await slow.claim()).jobs
        await rescuer.store.rescue({slow.id: 0})
        assert await slow.finish(held) == ["lost"]
        assert await slow.settle(held) == set()


async def test_a_lease_without_a_worker_is_rescued_and_recorded(
    settings: Settings, database: psycopg.Connection
) -> None:
    """A claim that was in flight while its worker was taken for dead."""
    async with hands(settings) as dead, hands(settings) as rescuer:
        (job_id,) = enqueue(database)
        async with dead.transaction("claiming"):
            assert len((await dead.claim()).jobs) == 1
            assert (await rescuer.store.rescue({dead.id: 0})).workers == 1
        assert (await rescuer.store.beats()).orphans
        assert (await rescuer.store.rescue({})).jobs == 1
        recorded = rows(database, "select job_id, run, outcome, worker_id from pgqueue.all_attempts")
        assert recorded == [(job_id, 1, "rescued", dead.id)]
        assert ask(database, "select crashes from pgqueue.all_jobs") == 1


async def test_a_claim_whose_answer_was_lost_is_released_through_the_heartbeat(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        enqueue(database, 3)
        unanswered = (await worker.claim(2)).jobs
        known = (await worker.claim(1)).jobs
        leases = worker.beat().leases
        assert leases == {unanswered[0].lease, known[0].lease}
        assert await worker.store.release([*(leases - {known[0].lease})]) == 2
        again = await worker.take()
        assert [(job.id, job.run, job.attempt, job.crashes) for job in again] == [(i, 2, 0, 0) for i in ids(unanswered)]
        assert await worker.finish(unanswered) == ["lost", "lost"]
        assert await worker.finish(known + again) == ["done", "done", "done"]


async def test_a_release_leaves_a_job_that_somebody_holds_under_its_lease(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        enqueue(database, 2)
        held = (await worker.claim()).jobs
        with transaction(settings.dsn) as business:
            business.execute("select from pgqueue.job where id = %s for update", (held[0].id,))
            assert await worker.store.release([held[0].lease]) == 1
            assert ask(database, MISPLACED) == 0
            assert worker.beat().leases == {held[0].lease}
        assert await worker.store.release([held[0].lease]) == 1
        assert worker.beat().leases == frozenset()


async def test_no_worker_releases_the_lease_of_another(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker, hands(settings) as other:
        enqueue(database)
        held = (await worker.claim()).jobs
        assert await other.store.release([held[0].lease]) == 0
        assert await other.finish([], emptied=[held[0].lease]) == []
        assert await worker.finish(held) == ["done"]


@pytest.mark.parametrize("decided", ["once", "twice"])
async def test_jobs_that_are_almost_due_have_one_place(settings: Settings, decided: str) -> None:
    with transaction(settings.dsn) as caller:
        if decided == "twice":
            text = ask(caller, "select pg_get_functiondef('pgqueue.write_jobs'::regproc)")
            text = text.replace("where w.due", "where w.run_at <= clock_timestamp()")
            caller.execute(text.replace("where not w.due", "where w.run_at > clock_timestamp()").encode())
        began = datetime.now(UTC)
        caller.execute(
            "select count(*) from (select array_agg(%s::timestamptz + g * interval '20 us') as due_at, "
            "array_agg('work'::text) as task, array_agg('{}'::jsonb) as args from generate_series(1, 20000) g) w, "
            "pgqueue.enqueue_jobs('{}', w.task, w.args, '{}', '{}', w.due_at, '{}', '{}', '{}')",
            (began,),
        )
        assert ask(caller, "select count(*) from pgqueue.job") == 20000
        assert min(ask(caller, f"select count(*) from pgqueue.{lane}") for lane in ("ready", "scheduled")) > 0
        assert (ask(caller, MISPLACED) == 0) is (decided == "once")


async def test_a_publication_for_all_tables_stops_no_claim(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        enqueue(database)
        enqueue(database, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        database.execute("create publication everything for all tables")
        assert (await worker.store.promote("default", 10)).moved == 1
        held = await worker.take()
        assert await worker.finish(held, "retry") == ["done", "done"]
        assert await worker.finish(await worker.take(), emptied=[held[0].lease]) == ["done", "done"]
        await worker.store.rescue({})
        await worker.store.leave()
        database.execute("alter table pgqueue.ready replica identity default")
        enqueue(database)
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            database.execute("delete from pgqueue.ready")


async def test_every_table_of_the_schema_can_be_published_with_its_deletes(database: psycopg.Connection) -> None:
    without = rows(
        database,
        "select c.relname from pg_class c where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p') "
        "and c.relpersistence = 'p' and c.relreplident <> 'f' "
        "and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)",
    )
    assert without == []


@pytest.mark.parametrize("table", ["job", "ready", "scheduled", "lease"])
def test_truncate_of_a_lane_is_refused(database: psycopg.Connection, table: str) -> None:
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="without a place"):
        database.execute(f"truncate pgqueue.{table} restart identity cascade".encode())


async def test_a_claim_full_of_cancelled_entries_says_that_there_is_more(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        *cancelled, live = enqueue(database, 25)
        database.execute("select pgqueue.cancel_jobs(%s::bigint[])", (cancelled,))
        claims = [await worker.claim(10) for _ in range(3)]
        assert [(ids(claim.jobs), claim.more) for claim in claims] == [([], True), ([], True), ([live], False)]
        assert await worker.finish(claims[2].jobs) == ["done"]


async def test_a_missing_partition_is_made_by_the_finisher(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        for (partition,) in rows(database, "select inhrelid::regclass::text from pg_inherits"):
            if partition.startswith("pgqueue.job_"):
                database.execute(f"drop table if exists {partition}".encode())
        enqueue(database, 2)
        held = (await worker.claim()).jobs
        assert await worker.finish(held[:1]) == ["done"]
        assert await worker.finish(held[1:], "retry", delay=60) == ["done"]
        assert ask(database, "select count(*) from pgqueue.all_attempts") == 2


async def test_jobs_come_by_priority_and_then_in_the_order_of_their_commit(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        low, high, low_again, middle = (enqueue(database, priority=priority)[0] for priority in (0, 9, 0, 5))
        assert ids(await worker.take(1)) == [high, middle, low, low_again]
