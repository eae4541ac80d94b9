"""A row that somebody holds is left where it is, nobody waits for it, and the same statement goes on with the rest."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue.postgres import connections
from pgqueue.postgres.connections import Settings
from tests.storage.hands import Hands, ask, enqueue, hands, ids, transaction, without_scans

LEASES = "select count(*) from pgqueue.lease"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a lock is an error almost at once."""
    for options in (connections.PINNED, connections.HASTY):
        monkeypatch.setitem(options, "lock_timeout", "100ms")


async def _claim_twice(worker: Hands, database: psycopg.Connection) -> tuple[int, int]:
    """Return two leases of the worker with a job each."""
    enqueue(database, 2)
    (first,), (second,) = (await worker.claim(1)).jobs, (await worker.claim(1)).jobs
    return first.lease, second.lease


def _hold(connection: psycopg.Connection, table: str, condition: str, *parameters: object) -> None:
    found = connection.execute(f"select from pgqueue.{table} where {condition} for update".encode(), parameters)
    assert found.rowcount == 1


async def test_a_finish_drops_the_emptied_leases_but_not_one_that_somebody_holds(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        enqueue(database, 3)
        one, other, more = [(await worker.claim(1)).jobs[0] for _ in range(3)]
        assert await worker.finish([one, other]) == ["done", "done"]
        with transaction(settings.dsn) as business:
            _hold(business, "lease", "id = %s", one.lease)
            assert await worker.finish([more], emptied=[one.lease, other.lease]) == ["done"]
            assert worker.beat().leases == {one.lease, more.lease}
        assert await worker.finish([], emptied=[one.lease, more.lease]) == []
        assert ask(database, LEASES) == 0


async def test_a_rescue_leaves_a_lease_that_somebody_holds_to_the_next_sweep(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as dead, hands(settings) as rescuer:
        held, _ = await _claim_twice(dead, database)
        with transaction(settings.dsn) as business:
            _hold(business, "lease", "id = %s", held)
            rescue = await rescuer.store.rescue({dead.id: 0})
            assert (rescue.workers, rescue.leases, rescue.jobs) == (1, 1, 1)
        assert (await rescuer.store.beats()).orphans
        assert (await rescuer.store.rescue({})).jobs == 1
        assert ask(database, LEASES) == 0


async def test_a_rescue_leaves_a_worker_whose_row_somebody_holds_with_its_jobs(
    settings: Settings, database: psycopg.Connection
) -> None:
    """It is about to beat, perhaps."""
    async with hands(settings) as held, hands(settings) as dead, hands(settings) as rescuer:
        kept, lost = enqueue(database, 2)
        assert ids((await held.claim(1)).jobs) == [kept]
        assert ids((await dead.claim(1)).jobs) == [lost]
        silent = {held.id: 0, dead.id: 0}
        with transaction(settings.dsn) as business:
            _hold(business, "worker", "id = %s", held.id)
            rescue = await rescuer.store.rescue(silent)
            assert (rescue.workers, rescue.leases, rescue.jobs) == (1, 1, 1)
            assert ask(database, "select state from pgqueue.all_jobs where id = %s", kept) == "running"
        assert held.beat().alive
        assert not dead.beat().alive
        assert (await rescuer.store.rescue(silent)).workers == 0, "it has beaten since"


async def test_a_release_leaves_a_lease_that_somebody_holds_to_the_next_heartbeat(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        held, free = await _claim_twice(worker, database)
        with transaction(settings.dsn) as business:
            _hold(business, "lease", "id = %s", held)
            assert await worker.store.release([held, free]) == 1
            assert worker.beat().leases == {held}
        assert await worker.store.release([held]) == 1
        assert ask(database, LEASES) == 0


async def test_a_promotion_moves_the_due_jobs_but_not_one_whose_entry_somebody_holds(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is let go it is found without a scan from the start, although later ones were promoted meanwhile."""
    without_scans(monkeypatch)
    async with hands(settings) as worker:
        held, free = enqueue(database, 2, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '2 s' where job_id = %s", (held,))
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s' where job_id = %s", (free,))
        with transaction(settings.dsn) as business:
            _hold(business, "scheduled", "job_id = %s", held)
            assert (await worker.store.promote("default", 10)).moved == 1
            assert ids(await worker.take()) == [free]
        assert (await worker.store.agenda(["default"])).due == {"default"}
        assert (await worker.store.promote("default", 10)).moved == 1
        assert ids(await worker.take()) == [held]
