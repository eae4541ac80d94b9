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
        assert migrate(settings, "0001") == ("0002", "0001")
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


async def test_on_the_schema_before_it_enqueues_and_works_and_names_what_needs_the_migration(empty: str) -> None:
    """While a deployment rolls, workers and producers of both versions meet either schema."""
    migrate(Settings(empty, "pgqueue"), "0001")
    pgq = PgQueue(empty)
    double = declare(pgq)
    await double.aenqueue(1)
    assert pgq.enqueue_many((double.job(n) for n in range(2, 1002)), returning="count") == 1000
    with Watch(empty) as watch:
        async with pgq.worker(concurrency=10):
            await watch.auntil("select count(*) = 1001 from pgqueue.job_history where state = 'succeeded'")
    with pytest.raises(SchemaError, match="pgqueue migrate"):
        await double.using(key="a").aenqueue(1)
    pgq.close()
    await pgq.aclose()


def test_what_was_done_before_the_upgrade_is_nobodys_whose_role_was_not_recorded(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    migrate(settings, "0001")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("select pgqueue.pause('mail')")
        migrate(settings)
        connection.execute("select pgqueue.resume('mail')")
        rows = connection.execute("select action, role from pgqueue.operator_action order by id").fetchall()
        assert rows == [("pause", None), ("resume", "postgres")]
