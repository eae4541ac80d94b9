"""When what the cursors remember means nothing any more: they read from the start again.

Each test puts an entry below the position behind the cursor's back, and the safety scan is out of reach: nothing else
than the forgetting that is tested can find the entry.
"""

from __future__ import annotations

import psycopg
import pytest

from pgqueue.model.errors import BackendUnavailable
from pgqueue.postgres.connections import Settings
from tests.storage.hands import Hands, ask, enqueue, hands, ids, mutate, without_scans

SERVER_TIME = "extract(epoch from statement_timestamp())::float8 as server_time"
AN_HOUR_AGO = SERVER_TIME.replace("statement_timestamp()", "statement_timestamp() - interval '1 hour'")

TERMINATE = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and application_name = %s
"""


@pytest.fixture(autouse=True)
def no_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    without_scans(monkeypatch)


async def _pass_a_ready_job(worker: Hands, database: psycopg.Connection) -> int:
    """Return a ready job that stands below the worker's position, unseen."""
    enqueue(database, 3)
    assert await worker.finish(await worker.take()) == ["done"] * 3
    (job_id,) = enqueue(database)
    database.execute("update pgqueue.ready set seq = 1 where job_id = %s", (job_id,))
    assert await worker.take() == []
    assert (await worker.store.look(["default"])).ready == frozenset()
    return job_id


async def _pass_a_due_job(worker: Hands, database: psycopg.Connection) -> int:
    """Return a due job that stands below the worker's position, unseen."""
    assert await worker.take() == []  # all connections are open from here on
    enqueue(database, delay="1 hour")
    database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
    assert (await worker.store.promote("default", 10)).moved == 1
    assert await worker.finish(await worker.take()) == ["done"]
    (job_id,) = enqueue(database, delay="1 hour")
    database.execute("update pgqueue.scheduled set due_at = now() - interval '1 minute'")
    assert (await worker.store.agenda(["default"])).due == frozenset()
    assert (await worker.store.promote("default", 10)).moved == 0
    return job_id


@pytest.mark.parametrize("noticed_by", ["a look", "a claim"])
async def test_after_a_rescue_every_worker_reads_its_queue_from_the_start(
    settings: Settings, database: psycopg.Connection, noticed_by: str
) -> None:
    async with hands(settings) as dead, hands(settings) as reader, hands(settings) as rescuer:
        (rescued,) = enqueue(database)
        await dead.claim()
        passed = await _pass_a_ready_job(reader, database)
        assert (await rescuer.store.rescue({dead.id: 0})).jobs == 1
        if noticed_by == "a look":
            assert (await reader.store.look(["default"])).ready == {"default"}
            assert ids(await reader.take(1)) == [passed, rescued]
        else:
            assert ids(await reader.take(1)) == [rescued, passed]


async def test_a_rescue_in_one_queue_makes_nobody_read_another_from_the_start(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings, "other") as dead, hands(settings) as reader:
        enqueue(database, queue="other")
        await dead.claim(queue="other")
        passed = await _pass_a_ready_job(reader, database)
        assert (await reader.store.rescue({dead.id: 0})).jobs == 1
        assert [await reader.take() for _ in range(2)] == [[], []], "the first may learn of it, the second would act"
        reader.store._ready_cursor("default").scan_soon()
        assert ids(await reader.take()) == [passed]


@pytest.mark.parametrize("noticed_by", ["agenda", "promote"])
async def test_after_the_servers_clock_was_set_back_due_jobs_are_read_from_the_start(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, noticed_by: str
) -> None:
    async with hands(settings) as worker:
        passed = await _pass_a_due_job(worker, database)
        if noticed_by == "agenda":
            mutate(monkeypatch, "scheduled/look", SERVER_TIME, AN_HOUR_AGO)
            assert (await worker.store.agenda(["default"])).due == frozenset()
            assert (await worker.store.agenda(["default"])).due == {"default"}
        else:
            mutate(monkeypatch, "scheduled/promote", SERVER_TIME, AN_HOUR_AGO)
            assert (await worker.store.promote("default", 10)).moved == 0
        assert (await worker.store.promote("default", 10)).moved == 1
        assert ids(await worker.take()) == [passed]


async def _lose(worker: Hands, database: psycopg.Connection, purpose: str) -> None:
    """End one of the worker's connections, and let the worker find out."""
    assert ask(database, TERMINATE, f"pgqueue {purpose}")
    with pytest.raises(BackendUnavailable):
        await (worker.claim() if purpose == "claim" else worker.store.agenda(["default"]))


@pytest.mark.parametrize("found_by", ["look", "claim"])
async def test_on_a_new_connection_ready_jobs_are_read_from_the_start(
    settings: Settings, database: psycopg.Connection, found_by: str
) -> None:
    """It may speak to another server, or to the same one restored."""
    async with hands(settings) as worker:
        passed = await _pass_a_ready_job(worker, database)
        await _lose(worker, database, "claim")
        if found_by == "look":
            assert (await worker.store.look(["default"])).ready == {"default"}
        assert ids(await worker.take()) == [passed]


@pytest.mark.parametrize("found_by", ["agenda", "promote"])
async def test_on_a_new_connection_due_jobs_are_read_from_the_start(
    settings: Settings, database: psycopg.Connection, found_by: str
) -> None:
    async with hands(settings) as worker:
        passed = await _pass_a_due_job(worker, database)
        await _lose(worker, database, "move")
        if found_by == "agenda":
            assert (await worker.store.agenda(["default"])).due == {"default"}
        assert (await worker.store.promote("default", 10)).moved == 1
        assert ids(await worker.take()) == [passed]
