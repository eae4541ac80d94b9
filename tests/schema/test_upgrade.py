"""From one revision to the next and back, with live jobs; and this version on the schema of the one before."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import PgQueue, SchemaError, Task
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from tests.schema.catalogue import objects
from tests.support import Watch

RIGHTS = """
select p.oid::regprocedure::text, a.grantee::bigint, a.privilege_type
from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where p.pronamespace = 'pgqueue'::regnamespace order by 1, 2, 3
"""


def declare(pgq: PgQueue[None]) -> Task[..., int]:
    """Return a task."""

    @pgq.task(name="double")
    async def double(number: int) -> int:
        return 2 * number

    return double


def test_down_to_0001_is_what_0001_was(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    with psycopg.connect(empty, autocommit=True) as connection:
        migrate(settings, "0001")
        first, rights = objects(connection, "pgqueue"), connection.execute(RIGHTS).fetchall()
        migrate(settings)
        assert objects(connection, "pgqueue") != first
        assert migrate(settings, "0001") == ("0003", "0001")
        assert objects(connection, "pgqueue") == first
        assert connection.execute(RIGHTS).fetchall() == rights


async def test_jobs_live_through_an_upgrade_and_a_downgrade(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    migrate(settings, "0001")
    pgq = PgQueue(empty)
    double = declare(pgq)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("select pgqueue.enqueue('double', '{\"number\": 1}')")
        connection.execute("select pgqueue.enqueue('double', '{\"number\": 2}', delay => '1 h')")
        migrate(settings)
        keyed = await double.using(key="a").aenqueue(3)
        with Watch(empty) as watch:
            async with pgq.worker(concurrency=2):
                await watch.auntil("select count(*) = 2 from pgqueue.job_history where state = 'succeeded'")
        assert await keyed.aresult() == 6
        migrate(settings, "0001")
        connection.execute("select pgqueue.enqueue('double', '{\"number\": 4}')")
        states = connection.execute("select args ->> 'number', state from pgqueue.all_jobs order by id").fetchall()
        assert states == [("1", "succeeded"), ("2", "scheduled"), ("3", "succeeded"), ("4", "ready")]
        assert connection.execute("select * from pgqueue.misplaced_jobs").fetchall() == []
    await pgq.aclose()


@pytest.mark.parametrize("revision", ["0001", "0002"])
async def test_on_an_earlier_schema_it_enqueues_and_its_worker_names_the_migration(empty: str, revision: str) -> None:
    """While a deployment rolls, producers of both versions meet either schema; a worker needs its own."""
    migrate(Settings(empty, "pgqueue"), revision)
    pgq = PgQueue(empty)
    double = declare(pgq)
    await double.aenqueue(1)
    assert pgq.enqueue_many((double.job(n) for n in range(2, 1002)), returning="count") == 1000
    with pytest.raises(SchemaError, match="pgqueue migrate"):
        await pgq.worker(concurrency=10).start()
    if revision == "0001":
        with pytest.raises(SchemaError, match="pgqueue migrate"):
            await double.using(key="a").aenqueue(1)
    migrate(Settings(empty, "pgqueue"))
    with Watch(empty) as watch:
        async with pgq.worker(concurrency=10):
            await watch.auntil("select count(*) = 1001 from pgqueue.job_history where state = 'succeeded'")
    pgq.close()
    await pgq.aclose()


async def test_a_schema_that_wants_later_workers_refuses_this_one(
    dsn: str, database: psycopg.Connection, pgq: PgQueue[None]
) -> None:
    """What a revision to come does, before workers of this version could do harm."""
    declare(pgq)
    database.execute("update pgqueue.home set least_protocol = 1000")
    with pytest.raises(SchemaError, match="Install a later version"):
        await pgq.worker().start()
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)


def test_what_was_done_before_the_upgrade_is_nobodys_whose_role_was_not_recorded(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    migrate(settings, "0001")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("select pgqueue.pause('mail')")
        migrate(settings)
        connection.execute("select pgqueue.resume('mail')")
        rows = connection.execute("select action, role from pgqueue.operator_action order by id").fetchall()
        assert rows == [("pause", None), ("resume", "postgres")]


def test_a_role_keeps_enqueue_through_the_migration(empty: str) -> None:
    """The function is made anew by 0003; who was granted it before has it still."""
    settings = Settings(empty, "pgqueue")
    migrate(settings, "0002")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("drop role if exists keeper")
        connection.execute("create role keeper")
        connection.execute("select pgqueue.grant_access('producer', 'keeper')")
        held = (
            "select p.proname from pg_proc p, aclexplode(p.proacl) a join pg_roles r on r.oid = a.grantee "
            "where r.rolname = 'keeper' and p.proname like 'enqueue%%' order by 1"
        )
        before = connection.execute(held).fetchall()
        migrate(settings)
        assert connection.execute(held).fetchall() == before
        assert ("enqueue",) in before
        migrate(settings, "0002")
        assert connection.execute(held).fetchall() == before
        connection.execute("select pgqueue.revoke_access('producer', 'keeper')")
        connection.execute("drop owned by keeper")
        connection.execute("drop role keeper")
