"""A database whose default isolation is stricter: our own connections stay at read committed, where nobody is refused."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from pgqueue.postgres.connections import HASTY, PINNED, UNPINNED, Link, Settings
from tests.storage.hands import ask, enqueue, hands, ids

STATE = "select state from pgqueue.all_jobs where id = %s"


@pytest.fixture(params=["repeatable read", "serializable"], autouse=True)
def strict(request: pytest.FixtureRequest, database: psycopg.Connection) -> None:
    """Transactions of new connections have another isolation level."""
    name = sql.Identifier(database.info.dbname)
    change = sql.SQL("alter database {} set default_transaction_isolation = {}")
    database.execute(change.format(name, sql.Literal(request.param)))


@pytest.mark.parametrize("options", [PINNED, HASTY, UNPINNED], ids=["pinned", "hasty", "unpinned"])
async def test_every_kind_of_connection_is_at_read_committed(settings: Settings, options: dict[str, str]) -> None:
    link = Link(settings, "test", options)
    try:
        found = await (await (await link.connection()).execute("show transaction_isolation")).fetchone()
        assert found == ("read committed",)
    finally:
        await link.close()


async def test_claims_of_two_workers_refuse_each_other_nothing(
    settings: Settings, database: psycopg.Connection
) -> None:
    """Kept in one transaction, the second claim would see the jobs as they stood before the other's claim."""
    async with hands(settings) as one, hands(settings) as other:
        enqueue(database, queue="elsewhere")
        first, second = enqueue(database, 2)
        async with one.transaction("claiming"):
            assert len((await one.claim(queue="elsewhere")).jobs) == 1
            assert ids((await other.claim(1)).jobs) == [first]
            assert ids((await one.claim()).jobs) == [second]


async def test_a_finish_after_a_rescue_is_lost_and_no_error(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as late, hands(settings) as rescuer:
        done, lost = enqueue(database, 2)
        held = (await late.claim()).jobs
        async with late.transaction("finishing"):
            assert await late.finish(held[:1]) == ["done"]
            assert (await rescuer.store.rescue({late.id: 0})).jobs == 1
            assert await late.finish(held[1:]) == ["lost"]
        assert (ask(database, STATE, done), ask(database, STATE, lost)) == ("succeeded", "ready")
        await rescuer.store.rescue({})


async def test_promotions_of_two_workers_refuse_each_other_nothing(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as one, hands(settings) as other:
        enqueue(database, delay="1 hour", queue="elsewhere")
        enqueue(database, 2, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        async with one.transaction("moving"):
            assert (await one.store.promote("elsewhere", 10)).moved == 1
            assert (await other.store.promote("default", 1)).moved == 1
            assert (await one.store.promote("default", 10)).moved == 1
