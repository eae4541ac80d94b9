"""The cursor with real transactions: what commits late is found without the safety scan."""

from __future__ import annotations

import time

import psycopg
import pytest

from pgqueue.postgres.connections import Settings
from pgqueue.postgres.cursor import LaneCursor, Snapshot
from tests.storage.hands import Hands, ask, enqueue, hands, ids, mutate, transaction, without_scans


@pytest.fixture(autouse=True)
def no_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    without_scans(monkeypatch)


@pytest.fixture(params=["exact", "only what the snapshot lists"])
def exact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The cursor as it is, and one that ignores the ids from xmax to its own."""
    if request.param == "exact":
        return True
    whole = LaneCursor._set_floors

    def listed(self: LaneCursor[int], seen: Snapshot, before: dict[int, int]) -> None:
        whole(self, seen._replace(own=None), before)

    monkeypatch.setattr(LaneCursor, "_set_floors", listed)
    return False


@pytest.fixture
def no_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneCursor, "_set_floors", lambda *_: None)


@pytest.mark.parametrize("claims", [1, 6])
async def test_a_transaction_at_or_above_xmax_commits_after_later_jobs_were_claimed(
    settings: Settings, database: psycopg.Connection, claims: int, exact: bool
) -> None:
    async with hands(settings) as worker:
        await worker.claim()
        with transaction(settings.dsn) as early, transaction(settings.dsn) as late:
            own = ask(early, "select pg_current_xact_id()::text::bigint")
            missed = enqueue(late)
            enqueue(early)
            early.commit()
            xmax = ask(database, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            assert own < xmax <= ask(late, "select pg_current_xact_id()::text::bigint")
            for number in range(claims):
                assert len((await worker.claim()).jobs) == 1
                if number + 1 < claims:
                    enqueue(database)
            late.commit()
        found = ids(await worker.take())
        if exact:
            assert found == missed
        else:
            assert found == []
            worker.store._ready_cursor("default").scan_soon()
            assert ids(await worker.take()) == missed


async def _late_job(worker: Hands, dsn: str, database: psycopg.Connection) -> tuple[list[int], list[int]]:
    """Return a job that was committed late, and what was found after later ones had been claimed."""
    await worker.claim()
    with transaction(dsn) as late:
        wanted = enqueue(late)
        enqueue(database, 3)
        assert len(await worker.take(2)) == 3
        late.commit()
    return wanted, ids(await worker.take())


async def test_a_late_commit_is_found(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        wanted, found = await _late_job(worker, settings.dsn, database)
        assert found == wanted


async def test_without_floors_a_late_commit_is_not_found(
    settings: Settings, database: psycopg.Connection, no_floors: None
) -> None:
    async with hands(settings) as worker:
        _, found = await _late_job(worker, settings.dsn, database)
        assert found == []


async def test_a_look_reads_again_from_where_a_late_commit_may_stand(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        await worker.claim()
        with transaction(settings.dsn) as late:
            wanted = enqueue(late, priority=3)
            enqueue(database, priority=3)
            await worker.take()
            assert (await worker.store.look(["default"])).ready == frozenset()
            late.commit()
        assert (await worker.store.look(["default"])).ready == {"default"}
        assert ids(await worker.take()) == wanted


async def test_a_prepared_transaction_that_commits_late_is_found(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        await worker.claim()
        with transaction(settings.dsn) as late:
            late.execute("set local pgqueue.notify = off")
            wanted = enqueue(late)
            late.execute("prepare transaction 'late'")
        enqueue(database)
        await worker.take()
        database.execute("commit prepared 'late'")
        assert ids(await worker.take()) == wanted


async def test_jobs_of_a_rolled_back_savepoint_never_existed_and_the_others_are_found_late(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        await worker.claim()
        with transaction(settings.dsn) as late:
            with late.transaction():
                wanted = enqueue(late, 2)
            with late.transaction(force_rollback=True):
                enqueue(late, 2)
            enqueue(database)
            await worker.take()
            late.commit()
        assert ids(await worker.take()) == wanted


@pytest.mark.parametrize("holder", ["older", "younger"])
async def test_an_entry_skipped_under_a_claim_that_is_rolled_back_is_found_again_by_floor_or_by_scan(
    settings: Settings, database: psycopg.Connection, holder: str
) -> None:
    """Only entries held by a claim whose id is above the reader's own are left to the safety scan."""
    async with hands(settings) as worker:
        await worker.claim()
        skipped, other = enqueue(database, 2)
        with transaction(settings.dsn) as claim:
            hold = "select from pgqueue.ready where job_id = %s for update"
            if holder == "older":
                claim.execute(hold, (skipped,))
            async with worker.transaction("claiming") as connection:
                await connection.execute("select pg_current_xact_id()")
                if holder == "younger":
                    claim.execute(hold, (skipped,))
                assert ids((await worker.claim()).jobs) == [other]
            claim.rollback()
        assert ids(await worker.take()) == ([skipped] if holder == "older" else [])
        worker.store._ready_cursor("default").scan_soon()
        await worker.finish(await worker.take())
        assert ask(database, "select count(*) from pgqueue.ready") == 0


async def _promote(worker: Hands, count: int, limit: int = 100) -> int:
    """Promote until so many entries moved; they are due within milliseconds."""
    moved, deadline = 0, time.monotonic() + 5
    while moved < count and time.monotonic() < deadline:
        moved += (await worker.store.promote("default", limit)).moved
    return moved


async def test_a_due_time_below_the_position_from_a_late_commit_is_promoted(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        await worker.store.promote("default", 100)
        with transaction(settings.dsn) as late:
            wanted = enqueue(late, delay="20 ms")
            enqueue(database, delay="30 ms")
            assert await _promote(worker, 1) == 1
            late.commit()
        assert (await worker.store.agenda(["default"])).due == {"default"}
        assert await _promote(worker, 1) == 1
        assert wanted[0] in ids(await worker.take())


async def test_without_floors_a_due_time_below_the_position_is_not_promoted(
    settings: Settings, database: psycopg.Connection, no_floors: None
) -> None:
    async with hands(settings) as worker:
        await worker.store.promote("default", 100)
        with transaction(settings.dsn) as late:
            enqueue(late, delay="20 ms")
            enqueue(database, delay="30 ms")
            assert await _promote(worker, 1) == 1
            late.commit()
        assert (await worker.store.promote("default", 100)).moved == 0


async def test_a_due_time_from_an_old_transaction_is_promoted(settings: Settings, database: psycopg.Connection) -> None:
    """The clock of the write counts, not the transaction's now(), which lies below the position."""
    async with hands(settings) as worker:
        await worker.store.promote("default", 100)
        with transaction(settings.dsn) as old:
            began = ask(old, "select now()")
            enqueue(database, delay="20 ms")
            assert await _promote(worker, 1) == 1
            wanted = enqueue(old, delay="20 ms")
            assert ask(old, "select due_at > %s + interval '20 ms' from pgqueue.scheduled", began)
            old.commit()
        assert await _promote(worker, 1) == 1
        assert wanted[0] in ids(await worker.take())


@pytest.mark.parametrize("key", ["(due_at, job_id)", "due_at"])
async def test_five_equal_due_times_with_limit_three_are_all_promoted(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    if key == "due_at":
        mutate(
            monkeypatch,
            "scheduled/promote",
            "(due_at, job_id) > (%(due_at)s::timestamptz, %(job_id)s::bigint)",
            "due_at > %(due_at)s::timestamptz and %(job_id)s::bigint is not null",
        )
    async with hands(settings) as worker:
        await worker.store.promote("default", 3)
        enqueue(database, 5, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        moved = [(await worker.store.promote("default", 3)).moved for _ in range(3)]
        assert moved == ([3, 2, 0] if key != "due_at" else [3, 0, 0])


async def test_a_stale_scheduled_entry_vanishes_at_the_promotion(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database, delay="1 hour")
        database.execute("update pgqueue.job set run = 2, run_at = now() + interval '2 hours'")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        database.execute("insert into pgqueue.scheduled select queue, run_at, id, run from pgqueue.job")
        assert (await worker.store.promote("default", 10)).moved == 1
        assert ask(database, "select state from pgqueue.all_jobs where id = %s", job_id) == "scheduled"
        assert ask(database, "select count(*) from pgqueue.ready") == 0
