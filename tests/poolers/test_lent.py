"""What a lent server is not asked for: nothing is heard, set, prepared or locked in it; and what is done instead."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import PgQueue
from pgqueue.model.errors import BackendUnavailable, ConfigurationError
from pgqueue.postgres import connections
from pgqueue.postgres.connections import PINNED, UNPINNED, Link, Settings, open_session
from pgqueue.postgres.migrate import migrate
from pgqueue.postgres.notify import notices
from pgqueue.postgres.partitions import keep_history
from pgqueue.postgres.upkeep import tidy
from pgqueue.worker.supervisor import Worker
from tests.pooler import Pooler
from tests.storage.hands import ask, enqueue
from tests.support import Watch
from tests.worker.harness import ENDED, LISTENING, STATE, timed

SOON = 5.0
KEPT = """
    select (select count(*) from pg_locks where locktype = 'advisory'
      and database = (select oid from pg_database where datname = current_database()))
"""


@pytest.fixture
def lent(lent_dsn: str) -> Settings:
    """The settings of who is lent a server for a transaction."""
    settings = Settings(lent_dsn, "pgqueue")
    assert settings.pooling() == "transaction"
    return settings


def worker_of(app: PgQueue[None], poll: float) -> Worker:
    @app.task(name="work")
    async def work() -> None: ...

    return timed(app.worker(concurrency=2), poll=poll)


async def test_a_worker_that_nobody_can_notify_asks_nobody_and_looks_often(
    lent_dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    """It polls every 45 to 60 s, but within five seconds of a job five times a second."""
    app = PgQueue(lent_dsn)
    async with worker_of(app, poll=60.0):
        for _ in range(4):
            [job] = enqueue(database)
            await watch.auntil(STATE, "succeeded", job, timeout=SOON)
            assert ask(database, "select count(*) from pgqueue.worker_idle") == 0


async def test_a_worker_with_a_way_around_the_pooler_is_notified(
    lent_dsn: str, dsn: str, watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGQUEUE_DIRECT_DSN", dsn)
    app = PgQueue(lent_dsn)
    async with worker_of(app, poll=60.0):
        await watch.auntil(LISTENING)
        await watch.auntil("select true from pgqueue.worker_idle")
        for _ in range(2):  # its first look may find the first, only a notification the second
            [job] = enqueue(database)
            await watch.auntil(STATE, "succeeded", job, timeout=SOON)


async def test_a_way_around_that_leads_elsewhere_is_refused(lent: Settings, server_dsn: str, lent_dsn: str) -> None:
    for direct, words in ((server_dsn, "another database"), (lent_dsn, "leads to a pooler")):
        with pytest.raises(ConfigurationError, match=words):
            async for _ in notices(Settings(lent.dsn, "pgqueue", direct)):
                pass


@pytest.fixture
def server_dsn(dsn: str) -> str:
    """The URL of another database of the same server."""
    return make_conninfo(dsn, dbname="postgres")


async def test_nothing_is_left_in_lent_servers(
    lent_dsn: str, lent: Settings, watch: Watch, database: psycopg.Connection, transaction_pooler: Pooler
) -> None:
    app = PgQueue(lent_dsn)
    async with timed(worker_of(app, poll=0.2), beat=0.1, sweep=0.1, tidy=0.1, upkeep=0.1):
        enqueue(database, 200)
        await watch.auntil(ENDED, 200, "succeeded")
        await watch.auntil("select vacuum_count > 0 from pg_stat_user_tables where relname = 'ready'")
    assert ask(database, KEPT) == 0
    changed = "select array_agg(name) from pg_settings where name = any(%s) and source = 'session'"
    with ExitStack() as held:
        for _ in range(8):  # at the same time, so that each gets another server
            stranger = held.enter_context(psycopg.connect(lent_dsn, prepare_threshold=None))
            assert ask(stranger, changed, [*PINNED, "synchronous_commit"]) is None
            assert ask(stranger, "select count(*) from pg_prepared_statements") == 0
            assert ask(stranger, "select count(*) from pg_listening_channels()") == 0


async def test_old_days_of_history_are_dropped_without_waiting(lent: Settings, database: psycopg.Connection) -> None:
    for table in ("job_history", "job_attempt"):
        database.execute("select pgqueue.make_partition(%s, '2020-01-01')", (table,))
    old = "select count(*) from pg_class where relname ~ '^job_(history|attempt)_2020'"
    link = Link(lent, "history", UNPINNED)
    try:
        with psycopg.connect(lent.dsn) as auditor:
            auditor.execute("select count(*) from pgqueue.job_history")
            async with asyncio.timeout(SOON):
                await keep_history(link, lent, 90)
            assert ask(database, old) == 2, "an auditor's report stalls nobody"
        await keep_history(link, lent, 90)
        assert ask(database, old) == 0
    finally:
        await link.close()


async def test_two_vacuums_do_not_meet(lent: Settings, database: psycopg.Connection) -> None:
    count = "select vacuum_count from pg_stat_user_tables where relname = 'ready'"
    await tidy(lent)
    await tidy(lent)
    assert ask(database, count) == 1, "the second found that the first had just been at it"


async def test_a_statement_that_a_pooler_does_not_answer_is_given_up(
    lent: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    link = Link(lent, "move")
    try:
        with database.transaction():
            database.execute("lock table pgqueue.worker in access exclusive mode")
            with pytest.raises(BackendUnavailable, match="gave no answer"):
                await link.run("worker/beats")
        assert len(await link.run("worker/beats")) == 1
    finally:
        await link.close()


def test_behind_a_pooler_of_sessions_all_is_set_as_on_the_server_itself(
    settings: Settings, session_pooler: Pooler
) -> None:
    pooled = Settings(session_pooler.dsn_of(settings.dsn), "pgqueue")
    shown = "select name, setting from pg_settings where name = any(%s) order by 1"
    names = [*PINNED, "TimeZone"]
    with open_session(pooled, "test", PINNED) as behind, open_session(settings, "test", PINNED) as direct:
        assert behind.execute(shown, (names,)).fetchall() == direct.execute(shown, (names,)).fetchall()
        assert behind.info.backend_pid != ask(behind, "select pg_backend_pid()")
        assert ask(behind, "show jit") == "off"


def test_a_database_is_migrated_through_a_pooler(settings: Settings, pooled_dsn: str) -> None:
    before, after = migrate(Settings(pooled_dsn, "other"))
    assert (before, after) == ("base", migrate(settings)[1])
    assert migrate(Settings(pooled_dsn, "other"), "base") == (after, "base")


def test_options_of_the_dsn_are_kept_where_ours_are_refused(session_pooler: Pooler, dsn: str) -> None:
    given = Settings(f"{session_pooler.dsn_of(dsn)}&options=-c%20geqo%3Doff", "pgqueue")
    assert given.bare("test")["options"] == "-c geqo=off"
    with pytest.raises(psycopg.OperationalError, match="startup parameter"):
        given.pooling()
