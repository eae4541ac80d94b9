"""Who is notified of a new job: a worker that sleeps and would else be late, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from pgqueue import PgQueue
from pgqueue.postgres.connections import Settings
from tests.storage.hands import ask, enqueue, hands, transaction
from tests.support import Watch

NAP = 2.0
Heard = Callable[[], list[str]]

# A statement that has its snapshot and waits before its first write.
WAITING = """
create function public.wait() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(1);
  return null;
end $$;
create trigger wait before insert on pgqueue.job execute function public.wait();
"""

# A doze that has written its row and waits before it commits.
DOZING = WAITING.replace("before insert on pgqueue.job", "after insert on pgqueue.worker_idle")


@pytest.fixture
def heard(dsn: str) -> Iterator[Heard]:
    """Return what was notified since the last time."""
    with psycopg.connect(dsn, autocommit=True) as listening:
        channel = ask(listening, "select pgqueue.channel()")
        listening.execute(f"listen {channel}".encode())

        def hear() -> list[str]:
            """All that committed before this end mark is delivered before it."""
            listening.execute("select pg_notify(pgqueue.channel(), 'end')")
            said: list[str] = []
            for notice in listening.notifies(timeout=10):
                if notice.payload == "end":
                    return said
                said.append(notice.payload)
            raise AssertionError("the end mark did not come")

        yield hear


async def test_an_enqueue_tells_nobody_while_no_worker_sleeps(
    settings: Settings, database: psycopg.Connection, heard: Heard
) -> None:
    async with hands(settings):
        enqueue(database, 3)
        assert heard() == []


async def test_an_enqueue_tells_a_sleeping_worker_once_a_transaction(
    settings: Settings, dsn: str, database: psycopg.Connection, heard: Heard
) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        with transaction(dsn) as caller:
            enqueue(caller, 3)
            assert heard() == []
            caller.commit()
        assert heard() == ["ready:default"]
        await worker.store.awake(["default"])
        enqueue(database)
        assert heard() == []


async def test_a_rolled_back_enqueue_tells_nobody(settings: Settings, dsn: str, heard: Heard) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        with transaction(dsn) as caller:
            enqueue(caller)
        assert heard() == []


async def test_a_worker_is_told_of_its_own_queues_only(
    settings: Settings, database: psycopg.Connection, heard: Heard
) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["other"], NAP)
        enqueue(database)
        assert heard() == []
        enqueue(database, queue="other")
        assert heard() == ["ready:other"]


async def test_a_job_that_is_due_before_the_nap_ends_is_told_and_a_later_one_is_not(
    settings: Settings, database: psycopg.Connection, heard: Heard
) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        enqueue(database, delay="1 s")
        assert heard() == ["due:default"]
        enqueue(database, delay="5 s")
        assert heard() == []


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_another_isolation_level_cannot_see_who_sleeps_so_it_tells(
    dsn: str, heard: Heard, isolation: str
) -> None:
    with transaction(dsn, isolation) as caller:
        enqueue(caller)
        enqueue(caller, delay="1 hour", queue="later")
        caller.commit()
    assert heard() == ["ready:default"]


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
async def test_with_notify_off_nobody_is_told_so_the_transaction_can_be_prepared(
    settings: Settings, dsn: str, database: psycopg.Connection, heard: Heard, isolation: str
) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        with transaction(dsn, isolation) as caller:
            caller.execute("set local pgqueue.notify = off")
            enqueue(caller)
            caller.execute("prepare transaction 'quiet'")
        database.execute("commit prepared 'quiet'")
        assert heard() == []


async def test_without_notify_off_a_transaction_that_told_cannot_be_prepared(settings: Settings, dsn: str) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        with transaction(dsn) as caller:
            enqueue(caller)
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                caller.execute("prepare transaction 'loud'")


async def test_a_worker_that_falls_asleep_between_the_statement_and_its_first_write_is_told(
    settings: Settings, dsn: str, database: psycopg.Connection, watch: Watch, heard: Heard
) -> None:
    """The check has a snapshot of its own: the statement's was taken while the worker was awake."""
    async with hands(settings) as worker:
        database.execute(WAITING)
        with (
            transaction(dsn) as gate,
            psycopg.connect(dsn, autocommit=True) as caller,
            ThreadPoolExecutor(1) as threads,
        ):
            gate.execute("select pg_advisory_xact_lock(1)")
            enqueued = threads.submit(enqueue, caller)
            watch.until("select true from pg_locks where locktype = 'advisory' and not granted")
            await worker.store.doze(["default"], NAP)
            gate.rollback()
            enqueued.result(timeout=10)
        assert heard() == ["ready:default"]


async def test_a_look_says_that_a_transaction_may_still_commit_jobs_unannounced(
    settings: Settings, dsn: str, heard: Heard
) -> None:
    async with hands(settings) as worker:
        with transaction(dsn) as caller:
            enqueue(caller)
            await worker.store.doze(["default"], NAP)
            assert not (await worker.store.look(["default"])).settled
            caller.commit()
        assert heard() == []
        view = await worker.store.look(["default"])
        assert view.settled
        assert view.ready == {"default"}


@pytest.mark.parametrize("fenced", [True, False])
async def test_without_one_more_xid_a_transaction_that_missed_the_commit_of_the_idle_row_is_not_seen(
    settings: Settings, dsn: str, heard: Heard, fenced: bool
) -> None:
    async with hands(settings) as worker:
        with transaction(dsn) as caller:
            async with worker.transaction("claiming"):
                row = {"worker": worker.id, "queues": ["default"], "nap": NAP}
                await worker.store._claiming.run("idle/enter", row)
                enqueue(caller)
            if fenced:
                await worker.store._claiming.run("idle/fence")
            assert (await worker.store.look(["default"])).settled is not fenced
            caller.commit()
        assert heard() == []


async def test_a_transaction_that_missed_a_doze_in_the_middle_of_its_commit_keeps_the_worker_looking(
    settings: Settings, dsn: str, database: psycopg.Connection, watch: Watch, heard: Heard
) -> None:
    """Its id is above that of the doze, so without one more id no snapshot would name it."""
    async with hands(settings) as worker:
        database.execute(DOZING)
        with transaction(dsn) as gate, transaction(dsn) as caller:
            gate.execute("select pg_advisory_xact_lock(1)")
            dozing = asyncio.create_task(worker.store.doze(["default"], NAP))
            await watch.auntil("select true from pg_locks where locktype = 'advisory' and not granted")
            enqueue(caller)
            gate.rollback()
            await dozing
            for _ in range(2):
                view = await worker.store.look(["default"])
                assert (view.settled, view.ready) == (False, frozenset())
            caller.commit()
        assert heard() == []
        view = await worker.store.look(["default"])
        assert (view.settled, view.ready) == (True, frozenset({"default"}))


async def test_a_transaction_that_began_after_the_nap_does_not_keep_the_worker_looking(
    settings: Settings, dsn: str
) -> None:
    async with hands(settings) as worker:
        await worker.store.doze(["default"], NAP)
        assert (await worker.store.look(["default"])).settled
        with transaction(dsn) as caller:
            enqueue(caller)
            assert (await worker.store.look(["default"])).settled


@pytest.mark.parametrize("how", ["retry", "release", "promote", "rescue", "operator"])
async def test_whoever_brings_jobs_back_tells_a_sleeping_worker(
    settings: Settings, database: psycopg.Connection, heard: Heard, how: str
) -> None:
    async with hands(settings) as worker, hands(settings) as other:
        (job_id,) = enqueue(database, delay="1 hour" if how == "promote" else "0 s")
        held = await worker.take()
        if how == "operator":
            await worker.finish(held, "dead")
        await other.store.doze(["default"], NAP)
        if how == "retry":
            await worker.finish(held, "retry")
        elif how == "release":
            await worker.store.release([held[0].lease])
        elif how == "promote":
            database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
            await worker.store.promote("default", 10)
        elif how == "rescue":
            await other.store.rescue({worker.id: 0})
        else:
            database.execute("select pgqueue.retry(%s)", (job_id,))
        assert heard() == ["ready:default"]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_in_a_database_with_another_default_isolation_our_own_connections_see_who_sleeps(
    settings: Settings, database: psycopg.Connection, pgq: PgQueue[None], heard: Heard, isolation: str
) -> None:
    """At that level they would tell in any case, also when nobody sleeps."""

    @pgq.task(name="work")
    def work() -> None: ...

    change = sql.SQL("alter database {} set default_transaction_isolation = {}")
    database.execute(change.format(sql.Identifier(database.info.dbname), sql.Literal(isolation)))
    async with hands(settings) as worker:
        for said in ([], ["ready:default"]):
            work.enqueue()
            assert heard() == said
            held = await worker.take()
            await worker.finish(held, "retry")
            assert heard() == said
            await worker.finish(await worker.take())
            await worker.store.doze(["default"], NAP)
