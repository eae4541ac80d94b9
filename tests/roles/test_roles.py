"""Each role connects, does its work, and is refused what it must not do."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgqueue import ConfigurationError, JobFailed, PgQueue, SchemaError
from tests.roles.conftest import Login
from tests.support import COPIED, Watch

SECRET = '\'{"card": "4111"}\''

# What each role may do, by statement; all else is refused. Each is tried as every role.
MAY = {
    f"select pgqueue.enqueue('pay', {SECRET})": {"producer", "worker"},
    'select * from pgqueue.enqueue_many(\'[{"task": "pay", "args": {}}]\')': {"producer", "worker"},
    "select pgqueue.enqueue('pay', '{}', key => 'k', on_conflict => 'replace')": {"producer", "worker"},
    "select pgqueue.unique_key('pay', '{}')": {"producer", "worker", "auditor", "admin"},
    "select * from pgqueue.job_states(array[1])": {"producer", "worker", "auditor", "admin"},
    "select args from pgqueue.job": {"worker"},
    "select args from pgqueue.all_jobs": {"auditor", "admin"},
    "select * from pgqueue.all_attempts": {"auditor", "admin"},
    "select * from pgqueue.queue_stats": {"auditor", "admin"},
    "select * from pgqueue.operator_action": {"auditor", "admin"},
    "select args, result from pgqueue.job_history": {"worker", "auditor", "admin"},
    "select * from pgqueue.job_key": {"worker", "auditor", "admin"},
    "select pgqueue.make_partitions(15)": {"worker"},
    "select pgqueue.retire_partition('job_history_20010101')": {"worker"},
    "select pgqueue.cancel(1)": {"admin"},
    "select pgqueue.cancel_jobs(array[1])": {"admin"},
    "select pgqueue.retry(1)": {"admin"},
    "select pgqueue.pause('default')": {"admin"},
    "select pgqueue.resume('default')": {"admin"},
    "select pgqueue.adopt()": {"admin"},
    "insert into pgqueue.job (run_at, timeout_ms, max_retries, priority, queue, task, args) "
    "values (now(), 1, 1, 0, 'q', 't', '{}')": {"worker"},
    "insert into pgqueue.operator_action (actor, action, outcome) values ('me', 'x', 'y')": set[str](),
    "delete from pgqueue.job_history": set[str](),
    "delete from pgqueue.operator_action": set[str](),
    "update pgqueue.job_history set state = 'succeeded'": set[str](),
    "update pgqueue.queue set paused_at = null": {"worker"},
    "select pgqueue.grant_access('admin', current_user)": set[str](),
    "select pgqueue.take_key('q', 'k', 1, 'finished', null, false)": set[str](),
    "select pgqueue.make_partition('job_history', '2001-01-01')": set[str](),
    "drop table pgqueue.job": set[str](),
    "truncate pgqueue.job_history": set[str](),
}


@pytest.mark.parametrize("role", ["producer", "worker", "auditor", "admin", "stranger"])
def test_a_role_may_do_its_work_and_nothing_else(login: Login, database: psycopg.Connection, role: str) -> None:
    database.execute("select pgqueue.enqueue('pay', '{}', delay => '1 h')")
    database.execute("select pgqueue.make_partition('job_history', '2001-01-01')")
    with psycopg.connect(login(role)) as connection:
        done = set()
        for statement in MAY:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement.encode())
                done.add(statement)
            except psycopg.errors.InsufficientPrivilege:
                pass
    assert done == {statement for statement, roles in MAY.items() if role in roles}


def test_a_producer_enqueues_and_waits_but_reads_neither_payload_nor_result(login: Login, dsn: str) -> None:
    owner, web = PgQueue(dsn), PgQueue(login("producer"))

    @web.task(name="pay")
    def pay(card: str) -> None: ...

    jobs = web.enqueue_many([pay.job("4111") for _ in range(COPIED)])  # no COPY: it may not write the tables
    assert {job.status() for job in jobs[:3]} == {"ready"}
    assert pay.using(key="a").enqueue("1").created
    assert not pay.using(key="a").enqueue("1").created
    with pytest.raises(ConfigurationError, match="may not do this"):
        jobs[0].cancel()
    owner.inspector.cancel(jobs[0].id)
    assert jobs[0].wait(timeout="5s") == "cancelled"
    with pytest.raises(ConfigurationError, match="job_history"):
        jobs[0].result(timeout="5s")
    with pytest.raises(ConfigurationError):
        web.inspector.jobs()
    with pytest.raises(JobFailed):
        owner.job(jobs[0].id).result()
    web.close()
    owner.close()


async def test_a_worker_role_is_all_that_a_worker_needs(login: Login, dsn: str, database: psycopg.Connection) -> None:
    pgq = PgQueue(login("worker"))

    @pgq.task(name="fetch")
    async def fetch(page: int) -> int:
        if page:
            await fetch.aenqueue(page - 1)
        return page

    with Watch(dsn) as watch:
        job = await fetch.using(key="once").aenqueue(3)
        async with pgq.worker(concurrency=2) as worker:
            await watch.auntil("select count(*) = 4 from pgqueue.job_history where state = 'succeeded'")
            assert worker.state.info.concurrency == 2
        assert await job.aresult() == 3
    await pgq.aclose()
    assert database.execute("select count(*) from pgqueue.job_key").fetchone() == (0,)


async def test_a_worker_that_is_not_the_owner_keeps_house(
    login: Login, settings: Any, database: psycopg.Connection
) -> None:
    """It creates partitions ahead and drops old ones; behind an open report it gives up at once, and comes again."""
    from pgqueue.model.clock import monotonic
    from pgqueue.postgres.connections import Settings
    from pgqueue.postgres.store import PostgresWorker

    database.execute(
        "select pgqueue.make_partition('job_history', '2001-01-01'), pgqueue.make_partition('job_attempt', '2001-01-01')"
    )
    there = "select count(*) from pg_class where relname in ('job_history_20010101', 'job_attempt_20010101')"
    store = PostgresWorker(Settings(login("worker"), settings.schema), monotonic)
    with psycopg.connect(settings.dsn) as report:
        report.execute("select count(*) from pgqueue.job_history")
        await store.keep_history(90)
        assert database.execute(there).fetchone() != (0,)
    await store.keep_history(90)
    assert database.execute(there).fetchone() == (0,)
    await store.tidy()
    await store.close()
    with pytest.raises(psycopg.DataError, match="not a partition of history that is over"):
        database.execute("select pgqueue.retire_partition('job_history_' || to_char(now(), 'YYYYMMDD'))")
    with pytest.raises(psycopg.DataError, match="not a partition"):
        database.execute("select pgqueue.retire_partition('job')")


def test_what_was_granted_can_be_taken_again_and_both_are_recorded(login: Login, database: psycopg.Connection) -> None:
    name = psycopg.conninfo.conninfo_to_dict(login("producer"))["user"]
    database.execute("select pgqueue.revoke_access('producer', %s)", (name,))
    with psycopg.connect(login("producer")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select pgqueue.enqueue('pay', '{}')")
    rows = database.execute(
        "select action, outcome, detail ->> 'name' from pgqueue.operator_action order by id"
    ).fetchall()
    assert rows == [("grant", f"producer {name}", name), ("revoke", f"producer {name}", name)]


def test_a_stranger_is_told_that_it_may_not(login: Login) -> None:
    pgq = PgQueue(login("stranger"))

    @pgq.task
    def pay() -> None: ...

    with pytest.raises((ConfigurationError, SchemaError)) as refusal:
        pay.enqueue()
    assert "pgqueue" in refusal.value.problem
    pgq.close()


def test_the_database_role_behind_an_actor_is_recorded_whatever_it_calls_itself(
    login: Login, database: psycopg.Connection
) -> None:
    with psycopg.connect(login("admin"), autocommit=True) as admin:
        admin.execute("set pgqueue.actor = 'somebody else'")
        admin.execute("select pgqueue.pause('mail')")
        user = admin.info.user
    row = database.execute("select actor, role from pgqueue.operator_action where action = 'pause'").fetchone()
    assert row == ("somebody else", user)


def test_a_hostile_search_path_changes_nothing(login: Login, database: psycopg.Connection) -> None:
    """The functions run as the owner: a caller's own function must never run in their place."""
    database.execute("create schema evil; grant all on schema evil to public")
    with psycopg.connect(login("producer"), autocommit=True) as producer:
        producer.execute(
            "create function evil.clock_timestamp() returns timestamptz language plpgsql as "
            "$$ begin raise exception 'ran as %', current_user; end $$"
        )
        producer.execute("set search_path = evil, pg_catalog")
        producer.execute("select pgqueue.enqueue('pay', '{}', key => 'k', period => '1 h')")
        user = producer.info.user
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1,)
    database.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(user)))
    database.execute("drop schema evil cascade")


NEVER = {
    "a time that nobody can read": "run_at => array['-infinity'::timestamptz]",
    "a year beyond the calendar": "run_at => array['294000-01-01'::timestamptz]",
    "a task of a page": "task => array[repeat('x', 3000)]",
    "a queue of a page": "queue => array[repeat('x', 3000)]",
    "arguments that are a list": "args => array['[1]'::jsonb]",
    "arguments of 32 MB": "args => array[jsonb_build_object('x', (select string_agg(md5(i::text), '') "
    "from generate_series(1, 999999) i))]",
    "a body without a codec": 'args => array[null::jsonb], more => array[\'{"body": "eA=="}\'::jsonb]',
    "headers that are a list": "more => array['{\"headers\": [1]}'::jsonb]",
}


@pytest.mark.parametrize("what", NEVER)
def test_a_producer_cannot_pass_by_the_checks_with_the_function_below(
    login: Login, database: psycopg.Connection, what: str
) -> None:
    given = {
        "queue": "array['q']",
        "task": "array['t']",
        "args": "array['{}'::jsonb]",
        "run_at": "null",
        "more": "null",
    }
    given |= dict(part.split(" => ", 1) for part in NEVER[what].split(", more") if " => " in part)
    if ", more" in NEVER[what]:
        given["more"] = NEVER[what].split(", more => ", 1)[1]
    call = "select pgqueue.enqueue_jobs({queue}, {task}, {args}, null, null, {run_at}, null, null, {more})".format(
        **given
    )
    with psycopg.connect(login("producer")) as producer, pytest.raises(psycopg.errors.CheckViolation):
        producer.execute(call.encode())
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


def test_a_worker_cannot_drop_history_that_is_to_be_kept_and_what_it_drops_is_recorded(
    login: Login, database: psycopg.Connection
) -> None:
    database.execute("select pgqueue.make_partition('job_history', current_date - d) from unnest(array[3, 89, 120]) d")
    name = "select 'job_history_' || to_char(current_date - %s::int, 'YYYYMMDD')"
    with psycopg.connect(login("worker"), autocommit=True) as worker:
        for days in (3, 89):
            with pytest.raises(psycopg.DataError, match="90 days"):
                worker.execute(f"select pgqueue.retire_partition(({name}))", (days,))
        worker.execute(f"select pgqueue.retire_partition(({name}))", (120,))
        user = worker.info.user
    row = database.execute(
        "select outcome like 'job_history_%%', role from pgqueue.operator_action where action = 'retire'"
    )
    assert row.fetchone() == (True, user)
