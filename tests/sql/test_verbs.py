"""enqueue with a key, cancel, retry, pause, resume, job_states, unique_key: what each answers."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgqueue.postgres.connections import Settings
from tests.sql.calls import by_name, counted, first, told
from tests.storage.hands import hands

HELD = "select key, scope, job_id, isfinite(until) from pgqueue.job_key"
UNGRANTED = """
    select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'pgqueue'::regnamespace and obj_description(p.oid) is null and (
      p.proname in ('grant_access', 'revoke_access', 'role_grants')
      or exists (select from pgqueue.role_grants() g where g.kind = 'function' and p.proname = any(g.objects)))
    order by 1
"""


def test_every_function_that_a_role_may_call_has_a_comment(database: psycopg.Connection) -> None:
    assert database.execute(UNGRANTED).fetchall() == []


def test_no_function_may_be_called_by_everybody(database: psycopg.Connection) -> None:
    """PostgreSQL lets everybody call a new function, unless it is said otherwise."""
    open_to_all = database.execute(
        """
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = 'pgqueue'::regnamespace and p.proname <> 'draw'  -- of the tests
          and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
        """
    ).fetchall()
    assert open_to_all == []


def test_what_runs_as_the_owner_names_its_search_path_with_the_temporary_schema_last(
    database: psycopg.Connection,
) -> None:
    """The others run inside those, or as their caller; to set it costs each enqueue some microseconds."""
    loose = database.execute(
        """
        select p.oid::regprocedure::text, p.proconfig from pg_proc p
        where p.pronamespace = 'pgqueue'::regnamespace and p.prosecdef
          and not coalesce('search_path=pg_catalog, pg_temp' = any(p.proconfig), false)
        """
    ).fetchall()
    assert loose == []


def test_enqueue_answers_the_id_or_the_holders(database: psycopg.Connection) -> None:
    job = by_name(database, {"key": "k", "scope": "retention"})
    assert by_name(database, {"key": "k"}) == job
    assert by_name(database, {"key": "k", "queue": "mail"}) != job
    assert database.execute(HELD + " where queue = 'default'").fetchall() == [("k", "retention", job, True)]


def test_enqueue_replaces_a_waiting_job(database: psycopg.Connection) -> None:
    job = by_name(database, {"key": "k", "delay": "1 h"})
    assert by_name(database, {"key": "k", "on_conflict": "replace", "priority": 7}, "other", {"a": 1}) == job
    row = database.execute("select state, task, priority, args, run from pgqueue.all_jobs").fetchone()
    assert row == ("ready", "other", 7, {"a": 1}, 2)


def test_enqueue_refuses_with_the_holder_the_key_and_the_queue(database: psycopg.Connection) -> None:
    job = by_name(database, {"key": "it's", "queue": "mail"})
    with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
        by_name(database, {"key": "it's", "queue": "mail", "on_conflict": "raise"})
    message = told(refusal)
    assert message.startswith(f"Job {job} holds the key 'it''s' in the queue 'mail'.")
    assert counted(database) == (1, 1, 1)


async def test_cancel_and_retry_answer_what_they_did_or_the_state_that_forbids_it(
    database: psycopg.Connection, settings: Settings
) -> None:
    job = by_name(database, {"key": "k"})
    assert first(database, "select pgqueue.retry(%s)", job) == "ready"
    assert first(database, "select pgqueue.cancel(%s)", job) == "cancelled"
    assert first(database, "select pgqueue.cancel(%s)", job) == "cancelled"
    assert first(database, "select pgqueue.retry(%s)", job) == "retried"
    async with hands(settings) as worker:
        held = await worker.take()
        assert first(database, "select pgqueue.cancel(%s)", job) == "signalled"
        assert first(database, "select pgqueue.retry(%s)", job) == "running"
        assert await worker.finish(held) == ["done"]
    for verb in ("cancel", "retry"):
        assert first(database, f"select pgqueue.{verb}(%s)", job) == "succeeded"
        assert first(database, f"select pgqueue.{verb}(%s)", -job) == "not found"
        assert first(database, f"select pgqueue.{verb}(null)") == "not found"


def test_pause_and_resume_may_be_said_twice(database: psycopg.Connection) -> None:
    paused = "select paused from pgqueue.queue_stats where queue = 'mail'"
    for verb, answer in (("pause", "paused"), ("pause", "paused"), ("resume", "resumed"), ("resume", "resumed")):
        assert first(database, f"select pgqueue.{verb}('mail')") == answer
        assert first(database, paused) == (verb == "pause")
    database.execute("set pgqueue.actor = 'ada'; select pgqueue.pause('mail')")
    recorded = database.execute(
        "select action, actor, role from pgqueue.operator_action where queue = 'mail' order by id"
    ).fetchall()
    assert recorded == [
        *[(verb, "postgres", "postgres") for verb in ("pause", "pause", "resume", "resume")],
        ("pause", "ada", "postgres"),
    ]


async def test_job_states_answers_where_each_job_stands(
    database: psycopg.Connection, settings: Settings, dsn: str
) -> None:
    async with hands(settings) as worker:
        ended, running = by_name(database, {}), by_name(database, {})
        held = await worker.take()
        assert await worker.finish(held[:1]) == ["done"]
        ready, later = by_name(database, {}), by_name(database, {"delay": "1 h"})
        with psycopg.connect(dsn) as open_one, psycopg.connect(dsn) as broken:
            unknown, lost = by_name(open_one, {}), by_name(broken, {})
            xids = [first(one, "select pg_current_xact_id()::text::bigint") for one in (open_one, broken)]
            broken.rollback()
            ids = [ended, running, ready, later, unknown, lost, 0]
            query = "select id, state from pgqueue.job_states(%s, %s)"
            states: dict[int, str] = dict(database.execute(query, (ids, [None] * 4 + xids + [None])).fetchall())
            open_one.rollback()
        await worker.finish(held[1:])
    assert [states[job_id] for job_id in ids] == [
        "succeeded",
        "running",
        "ready",
        "scheduled",
        "uncommitted",
        "rolled back",
        "not found",
    ]


@pytest.mark.parametrize("ids", [None, []], ids=["null", "none"])
def test_job_states_of_nothing_are_none(database: psycopg.Connection, ids: Any) -> None:
    assert database.execute("select * from pgqueue.job_states(%s)", (ids,)).fetchall() == []


def test_a_unique_key_is_of_the_task_and_the_named_arguments(database: psycopg.Connection) -> None:
    made = [
        first(database, f"select pgqueue.unique_key({arguments})")
        for arguments in (
            """'a', '{"x": 1, "y": 2}', '{x}'""",
            """'a', '{"y": 3, "x": 1}', '{x}'""",
            """'a', '{"x": 1}'""",
            """'a', '{"x": 2, "y": 2}', '{x}'""",
            """'b', '{"x": 1}'""",
            """'a'""",
        )
    ]
    assert made[0] == made[1] == made[2]
    assert len(set(made)) == 4
    assert all(len(key) <= 200 for key in made)


@pytest.mark.parametrize("function", ["enqueue_jobs", "write_jobs"])
def test_a_producer_cannot_choose_the_id_of_a_job(database: psycopg.Connection, caller: str, function: str) -> None:
    """With the id of a job to come, that one would fail."""
    database.execute("select pgqueue.grant_access('producer', 'sql_caller')")
    chosen = f"""
        select pgqueue.{function}(array['q'], array['t'], array['{{}}'::jsonb], array[0], array[0.0], array[null]::timestamptz[],
          array[1], array[1000], array[null]::jsonb[], array[987654321])
    """
    refusals = (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(caller, autocommit=True) as connection, pytest.raises(refusals):
        connection.execute(chosen.encode())
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)
