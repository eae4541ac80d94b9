"""The partitions of history, as a running worker keeps them."""

from __future__ import annotations

import psycopg

from pgqueue import PgQueue
from tests.support import Watch
from tests.worker.harness import ENDED, timed

OLD = ("job_history_20200101", "job_attempt_20200101")
GONE = "select to_regclass('pgqueue.' || %s) is null"
RETIRING = """
    select true from pg_stat_activity
    where datname = current_database() and application_name = 'pgqueue history' and wait_event_type = 'Lock'
"""


def make_old(database: psycopg.Connection) -> None:
    for table in ("job_history", "job_attempt"):
        database.execute("select pgqueue.make_partition(%s, '2020-01-01')", (table,))


async def test_a_worker_makes_partitions_ahead_and_retires_old_ones(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    make_old(database)
    [(ahead,)] = database.execute("select to_char((now() at time zone 'UTC')::date + 13, 'YYYYMMDD')").fetchall()
    database.execute(f"drop table pgqueue.job_history_{ahead}, pgqueue.job_attempt_{ahead}")
    async with pgq.worker(concurrency=1):
        for partition in OLD:
            await watch.auntil(GONE, partition, timeout=10)
        for table in ("job_history", "job_attempt"):
            await watch.auntil("select to_regclass('pgqueue.' || %s) is not null", f"{table}_{ahead}", timeout=10)
    kept = database.execute("select count(*) from pg_inherits where inhparent = 'pgqueue.job_history'::regclass")
    assert kept.fetchone() == (15,)


async def test_an_open_report_on_an_old_partition_stalls_nobody(
    pgq: PgQueue[None], dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    make_old(database)
    with psycopg.connect(dsn) as auditor:
        auditor.execute("select count(*) from pgqueue.all_jobs")
        async with pgq.worker(concurrency=4):
            await watch.auntil(RETIRING, timeout=10)
            for batch in range(1, 4):
                pgq.enqueue_many([note.job() for _ in range(10)])
                await watch.auntil(ENDED, 10 * batch, "succeeded", timeout=3)
            assert database.execute(RETIRING).fetchone() == (True,), "it was still waiting"
            auditor.rollback()
            for partition in OLD:
                await watch.auntil(GONE, partition, timeout=10)


async def test_an_interrupted_detach_is_completed_in_a_later_round(
    pgq: PgQueue[None], dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    make_old(database)
    with psycopg.connect(dsn) as auditor:
        auditor.execute("select count(*) from pgqueue.all_jobs")
        async with timed(pgq.worker(concurrency=1), upkeep=0.2):
            await watch.auntil(RETIRING, timeout=10)
            database.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name = %s",
                ("pgqueue history",),
            )
            await watch.auntil("select bool_or(inhdetachpending) from pg_inherits", timeout=10)
            auditor.rollback()
            for partition in OLD:
                await watch.auntil(GONE, partition, timeout=10)


async def test_a_finisher_makes_a_missing_partition_itself(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with pgq.worker(concurrency=1):
        note.enqueue()
        await watch.auntil(ENDED, 1, "succeeded")
        for table in ("job_history", "job_attempt"):
            for (partition,) in database.execute(
                "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", (f"pgqueue.{table}",)
            ).fetchall():
                database.execute(f"drop table {partition}")
        note.enqueue()
        await watch.auntil(ENDED, 1, "succeeded", timeout=10)
