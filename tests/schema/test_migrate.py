"""The migration: up, down, as text, many at once, under any name."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pgqueue import BackendUnavailable, ConfigurationError, PgQueue
from pgqueue.postgres import migrate as migrations
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import as_sql, head, migrate, pending
from tests.schema.catalogue import everything, objects
from tests.support import Watch

# Alembic's own record stays, and the schema, which may hold what others put there.
STAYS = {
    ("pg_namespace", "pgqueue"),
    ("pg_class", "migration"),
    ("pg_class", "migration_pkc"),
    ("pg_type", "migration"),
    ("pg_type", "_migration"),
}


def test_up_down_and_up_again_leaves_nothing_behind(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    with psycopg.connect(empty, autocommit=True) as connection:
        before = everything(connection)
        assert migrate(settings) == ("base", head())
        first = objects(connection, "pgqueue")
        PgQueue(empty).task(name="a")(lambda: None).using(connection, delay="1h").enqueue()
        assert migrate(settings, "base") == (head(), "base")
        assert everything(connection) - before == STAYS
        assert migrate(settings) == ("base", head())
        assert objects(connection, "pgqueue") == first
        assert migrate(settings) == (head(), head())
        assert objects(connection, "pgqueue") == first
        assert len(first) > 200


def test_the_sql_text_makes_the_same_schema(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    text = as_sql("pgqueue")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(text.encode())
        by_text = objects(connection, "pgqueue")
        partitions = connection.execute("select count(*) from pg_inherits").fetchone()
        assert pending(settings) == (head(), head())
        connection.execute("drop schema pgqueue cascade")
        migrate(settings)
        online = objects(connection, "pgqueue")
        assert by_text - online == set()
        assert online - by_text == set()
        assert partitions == connection.execute("select count(*) from pg_inherits").fetchone()


def test_the_sql_text_is_one_transaction(empty: str) -> None:
    text = as_sql("pgqueue")
    with psycopg.connect(empty, autocommit=True) as connection:
        before = everything(connection)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute(text.replace("COMMIT;", "select 1/0; COMMIT;").encode())
        connection.rollback()
        assert everything(connection) == before


def test_a_migration_that_fails_leaves_nothing_behind(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("create schema pgqueue; create view pgqueue.all_jobs as select 1 as mine")
        before = everything(connection)
        with pytest.raises(Exception, match="all_jobs"):
            migrate(Settings(empty, "pgqueue"))
        assert everything(connection) == before


def test_many_may_migrate_at_once(empty: str) -> None:
    settings = Settings(empty, "pgqueue")
    together = threading.Barrier(5)

    def one() -> tuple[str, str]:
        together.wait()
        return migrate(settings)

    with ThreadPoolExecutor(5) as pool:
        results = sorted(future.result() for future in [pool.submit(one) for _ in range(5)])
    assert results == sorted([("base", head()), *[(head(), head())] * 4])


async def test_a_schema_named_with_a_reserved_word_works_from_end_to_end(dsn: str, watch: Watch) -> None:
    migrate(Settings(dsn, "order"))
    pgq = PgQueue(dsn, schema="order")
    ran: list[int] = []

    @pgq.task
    async def work(number: int) -> None:
        ran.append(number)

    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                'create trigger test_changed after insert on "order".job_history execute function public.test_changed()'
            )
            async with pgq.worker(concurrency=2):
                work.using(connection).enqueue(1)
                await work.aenqueue(2)
                connection.execute("select \"order\".enqueue(%s, '{\"number\": 3}', delay => '10 ms')", (work.name,))
                question = "select count(*) = 3 from \"order\".all_jobs where state = 'succeeded'"
                await watch.auntil(question)
            cancelled = work.using(connection, delay="1h").enqueue(4)
            assert pgq.inspector.cancel(cancelled.id) == "cancelled"
            assert pgq.inspector.job(cancelled.id).state == "cancelled"
            assert connection.execute('select count(*) from "order".misplaced_jobs').fetchone() == (0,)
            assert connection.execute("select count(*) from pgqueue.all_jobs").fetchone() == (0,)
        assert sorted(ran) == [1, 2, 3]
    finally:
        pgq.close()
        await pgq.aclose()
    assert migrate(Settings(dsn, "order"), "base") == (head(), "base")


@pytest.mark.parametrize("name", ["", "Jobs", "jobs-eu", "1st", 'a"b', "a.b", "pg_jobs", "x" * 41, "jobs\n", "ä"])
def test_a_schema_without_a_plain_name_is_refused(name: str) -> None:
    if name == "":
        assert PgQueue("dbname=x", schema=name).settings.schema == "pgqueue"
        return
    with pytest.raises(ConfigurationError, match="plain lower-case identifier"):
        PgQueue("dbname=x", schema=name).settings  # noqa: B018 - reading it is what is tested


def test_a_database_that_is_away_is_said() -> None:
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        migrate(Settings("postgresql://postgres@/nowhere?host=/nonexistent", "pgqueue"))


def test_a_revision_that_does_not_exist_is_said(empty: str) -> None:
    with pytest.raises(ConfigurationError, match="'9999'"):
        migrate(Settings(empty, "pgqueue"), "9999")


def test_an_empty_database_has_a_migration_pending(empty: str) -> None:
    assert pending(Settings(empty, "pgqueue")) == ("base", head())
    assert migrations.head() == "0003"
