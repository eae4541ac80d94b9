"""Idle rows: who has one is notified, so no living worker may lose its own and no dead one may leave one behind."""

from __future__ import annotations

import psycopg

from pgqueue.postgres.connections import Settings
from tests.storage.hands import ask, hands

IDLE = "select count(*) from pgqueue.worker_idle"


async def test_a_worker_that_beat_in_time_keeps_its_idle_row(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker, hands(settings) as rescuer:
        await worker.store.doze(["default"], 1.0)
        worker.beat()
        await rescuer.store.rescue({worker.id: 0})
        assert ask(database, IDLE) == 1
        await rescuer.store.rescue({worker.id: 1})
        assert ask(database, IDLE) == 0


async def test_who_was_taken_for_dead_leaves_no_idle_row(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        database.execute("delete from pgqueue.worker")
        await worker.store.doze(["default"], 1.0)
        assert ask(database, IDLE) == 0


async def test_an_idle_row_without_a_worker_is_tidied_away(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], 1.0)
        database.execute("insert into pgqueue.worker_idle (queue, worker_id, nap) values ('default', 1, '1 s')")
        await worker.store.tidy()
        assert ask(database, IDLE) == 1
