"""What the doctor says of workers, queues and jobs: made to happen by real workers that die."""

from __future__ import annotations

import psycopg

from pgqueue.postgres.connections import Settings
from tests.doctor.conftest import Look
from tests.storage.hands import enqueue, hands


async def test_a_silent_worker_and_what_it_leaves_behind_are_named(
    look: Look, settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as dead, hands(settings) as other:
        jobs = enqueue(database, 3)
        assert len(await dead.take()) == 3
        assert look()["workers"].message == "2 workers alive"
        assert (look()["leases"].level, look()["suspects"].level) == ("ok", "ok")
        database.execute("update pgqueue.worker set beat_at = now() - interval '5 min' where id = %s", (dead.id,))
        found = look()["workers"]
        assert (found.level, found.message) == ("warn", "1 worker of 2 silent, hands for 5 min")
        database.execute("delete from pgqueue.worker where id = %s", (dead.id,))
        assert look()["leases"].message == "3 jobs in 1 lease of workers that are gone"
        await other.store.rescue({})
        found = look()["suspects"]
        assert found.message == f"3 jobs held by a worker when it died; work {jobs[0]} 1 time of 3"
        assert found.remedy == f"Look at it: pgqueue jobs show {jobs[0]}"
        assert look()["leases"].level == "ok"
        await other.finish(await other.take())
    assert look()["suspects"].level == "ok"


async def test_a_queue_that_nobody_serves_is_named(
    look: Look, settings: Settings, database: psycopg.Connection
) -> None:
    enqueue(database, 2, queue="images")
    enqueue(database, queue="email")
    async with hands(settings, "email"):
        found = look()["queues"]
        assert (found.level, found.message) == ("warn", "no worker serves images (2 jobs)")
        assert found.remedy == "Start one: pgqueue worker APP -q images"
        async with hands(settings, "images"):
            assert look()["queues"].level == "ok"


def test_a_paused_queue_is_named_and_is_not_said_to_lack_a_worker(look: Look, database: psycopg.Connection) -> None:
    enqueue(database, 2, queue="images")
    database.execute("select pgqueue.pause('images')")
    found = look()
    assert found["paused"].level == "warn"
    assert "images since 20" in found["paused"].message
    assert "(2 ready jobs)" in found["paused"].message
    assert found["paused"].remedy == "When they may go on: pgqueue queues resume images"
    assert found["queues"].level == "ok"


def test_a_job_without_a_place_is_a_failure(look: Look, database: psycopg.Connection) -> None:
    [lost, _] = enqueue(database, 2)
    database.execute("delete from pgqueue.ready where job_id = %s", (lost,))
    found = look()["places"]
    assert (found.level, found.message) == ("fail", f"1 job in no place or several, such as {lost}")
    database.execute("delete from pgqueue.job where id = %s", (lost,))
    assert look()["places"].level == "ok"
