"""Where the SQL functions are called from: triggers, blocks, other roles, prepared statements, odd and hostile sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.sql.calls import by_name, counted, facts, first, in_bulk
from tests.sql.conftest import CALLER

TASKS = "select task, args from pgqueue.all_jobs order by id"
EVERYTHING = {
    "queue": "mail",
    "priority": 4,
    "delay": "1 day 2:03:04",
    "max_retries": 3,
    "timeout": "90 s",
    "headers": {"trace": "a\\b'c"},
    "tags": ["a\\b", "c'd"],
    "scope": "ttl",
    "period": "36 hours",
    "on_conflict": "raise",
}
ARGS = {"user_id": "a\\b'c\"d", "float": 1.5e300}
ORDERS = """
    create table public.orders (id int primary key, customer text not null);
    create function public.confirm() returns trigger language plpgsql as $$
    begin
      perform pgqueue.enqueue('confirm', jsonb_build_object('order_id', new.id), key => 'customer-' || new.customer);
      return null;
    end $$;
    create trigger confirm after insert on public.orders for each row execute function public.confirm();
"""


def test_a_trigger_enqueues_with_the_row_or_not_at_all(database: psycopg.Connection, dsn: str) -> None:
    database.execute(ORDERS)
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into public.orders values (1, 'ada'), (2, 'bob'), (3, 'ada')")
        connection.commit()
        connection.execute("insert into public.orders values (4, 'eve')")
        connection.rollback()
    stored = [("confirm", {"order_id": 1}), ("confirm", {"order_id": 2})]
    assert database.execute(TASKS).fetchall() == stored
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("insert into public.orders values (5, 'max'), (1, 'again')")
    assert database.execute(TASKS).fetchall() == stored
    assert counted(database) == (2, 2, 2)


def test_a_trigger_of_a_statement_enqueues_all_new_rows_in_one_call(database: psycopg.Connection) -> None:
    database.execute(
        """
        create table public.mails (id int primary key);
        create function public.send_all() returns trigger language plpgsql as $$
        begin
          perform pgqueue.enqueue_many(
            (select jsonb_agg(jsonb_build_object('task', 'mail', 'args', jsonb_build_object('id', id)) order by id) from new_rows));
          return null;
        end $$;
        create trigger send_all after insert on public.mails referencing new table as new_rows
          for each statement execute function public.send_all();
        insert into public.mails select generate_series(1, 5);
        """
    )
    assert database.execute(TASKS).fetchall() == [("mail", {"id": number}) for number in range(1, 6)]


def test_a_block_may_enqueue_and_look_at_the_answers(database: psycopg.Connection) -> None:
    database.execute(
        """
        do $$
        declare
          job bigint := pgqueue.enqueue('first');
        begin
          perform pgqueue.enqueue('second', jsonb_build_object('after', job > 0));
          if (select state from pgqueue.job_states(array[job])) <> 'ready' then
            raise exception 'it is not ready';
          end if;
          perform pgqueue.cancel(job);
        end $$
        """
    )
    states = database.execute("select task, state, args from pgqueue.all_jobs order by id").fetchall()
    assert states == [("first", "cancelled", {}), ("second", "ready", {"after": True})]


def test_a_refusal_may_be_handled_and_the_transaction_goes_on(database: psycopg.Connection) -> None:
    database.execute(
        """
        do $$
        begin
          perform pgqueue.enqueue('first', key => 'k');
          begin
            perform pgqueue.enqueue('lost');
            perform pgqueue.enqueue('lost', key => 'other');
            perform pgqueue.enqueue('lost', key => 'k', on_conflict => 'raise');
          exception when unique_violation then
            perform pgqueue.enqueue('held');
          end;
          begin
            perform pgqueue.enqueue_many('[{"task": "lost", "key": "other"}, {"task": "lost", "priority": 10}]');
          exception when invalid_parameter_value then
            perform pgqueue.enqueue('wrong', jsonb_build_object('said', sqlerrm));
          end;
        end $$
        """
    )
    stored = database.execute(TASKS).fetchall()
    assert [task for task, _ in stored] == ["first", "held", "wrong"]
    assert stored[2][1]["said"].startswith("job 2: priority 10 is not")
    assert counted(database) == (3, 1, 3)


def test_a_role_that_may_only_call_needs_no_right_on_any_table(database: psycopg.Connection, caller: str) -> None:
    """As a job of pg_cron runs: another role, one statement, no settings of ours."""
    granted = ("enqueue", "enqueue_many", "cancel", "retry", "pause", "resume", "job_states", "unique_key")
    database.execute(f"grant usage on schema pgqueue to {CALLER}".encode())
    database.execute("".join(f"grant execute on function pgqueue.{name} to {CALLER};" for name in granted).encode())
    with psycopg.connect(caller, autocommit=True, options="-c search_path=") as connection:
        job = first(connection, "select pgqueue.enqueue('nightly', key => pgqueue.unique_key('nightly'))")
        assert in_bulk(connection, {"task": "nightly", "key": "other"})[0][2]
        assert first(connection, "select state from pgqueue.job_states(array[%s::bigint])", job) == "ready"
        assert first(connection, "select pgqueue.cancel(%s)", job) == "cancelled"
        assert first(connection, "select pgqueue.retry(%s)", job) == "retried"
        assert first(connection, "select pgqueue.pause('mail')") == "paused"
        assert first(connection, "select pgqueue.resume('mail')") == "resumed"
        for forbidden in (
            "select args from pgqueue.job",
            "select * from pgqueue.all_jobs",
            "select * from pgqueue.job_key",
            "delete from pgqueue.ready",
            "select nextval('pgqueue.ready_seq')",
            "select pgqueue.make_partitions(400)",
            "select pgqueue.take_key('default', 'k', 1, 'finished', null, false)",
            "select pgqueue.replace_job(1, 'x', '{}', 0, 0, null, 0, 1, null)",
            "select pgqueue.grant_access('admin', 'sql_caller')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    acted = "select distinct actor, role from pgqueue.operator_action where action <> 'adopt'"
    assert database.execute(acted).fetchall() == [(CALLER, CALLER)]


def test_a_role_without_a_grant_may_call_nothing(database: psycopg.Connection, caller: str) -> None:
    database.execute(f"grant usage on schema pgqueue to {CALLER}".encode())
    with psycopg.connect(caller, autocommit=True) as connection:
        for call in ("enqueue('a')", "enqueue_many('[]')", "cancel(1)", "retry(1)", "pause('a')", "unique_key('a')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select pgqueue.{call}".encode())


def test_a_prepared_call_does_the_same_each_time(database: psycopg.Connection) -> None:
    """From the sixth on PostgreSQL may take a plan that fits all parameters."""
    database.execute(
        """
        prepare send (int) as select pgqueue.enqueue('t', jsonb_build_object('n', $1), priority => $1 % 10, key => 'k' || $1 % 7);
        prepare many (jsonb) as select count(*) from pgqueue.enqueue_many($1);
        """
    )
    ids = [first(database, f"execute send({number})") for number in range(14)]
    assert ids[7:] == ids[:7]
    for number in range(8):
        assert first(database, f"""execute many('[{{"task": "m{number}"}}, {{"task": "t", "key": "k1"}}]')""") == 2
    assert counted(database) == (15, 7, 15)


@pytest.mark.parametrize(
    "call", ["enqueue('a')", "enqueue('a', key => 'k')", 'enqueue_many(\'[{"task": "a"}]\')', "cancel(1)", "pause('a')"]
)
def test_a_read_only_transaction_writes_nothing_and_says_so(database: psycopg.Connection, dsn: str, call: str) -> None:
    with psycopg.connect(dsn, options="-c default_transaction_read_only=on") as connection:
        assert first(connection, "select pgqueue.unique_key('a')").startswith("unique:")
        assert first(connection, "select state from pgqueue.job_states('{1}')") == "not found"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(f"select pgqueue.{call}".encode())
    assert counted(database) == (0, 0, 0)


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings=off",
        "datestyle=SQL,DMY",
        "datestyle=German",
        "intervalstyle=sql_standard",
        "intervalstyle=iso_8601",
        "timezone=Asia/Kathmandu",
        "bytea_output=escape",
        "array_nulls=off",
        "transform_null_equals=on",
        "extra_float_digits=-15",
        "plpgsql.variable_conflict=use_column",
        "plpgsql.extra_errors=all",
        "plan_cache_mode=force_generic_plan",
        "debug_parallel_query=regress",
        "row_security=off",
        "search_path=pg_temp",
        "quote_all_identifiers=on",
        "default_transaction_isolation=serializable",
    ],
)
def test_a_callers_settings_change_nothing(database: psycopg.Connection, dsn: str, setting: str) -> None:
    expected, held = _two_calls(database, "first")
    with psycopg.connect(dsn, autocommit=True) as connection:
        name, _, value = setting.partition("=")
        connection.execute("select set_config(%s, %s, false)", (name, value))
        job, again = _two_calls(connection, "second")
        assert again == held, "the hash of the arguments does not depend on the session"
        assert first(connection, "select state from pgqueue.job_states(array[%s::bigint])", job) == "scheduled"
        one, two = facts(database, expected), facts(database, job)
        assert first(connection, "select pgqueue.cancel(%s)", again) == "cancelled"
        assert first(connection, "select pgqueue.retry(%s)", again) == "retried"
    assert one[:4] == two[:4]
    assert one[4].replace("first", "second") == two[4] == "(mail,second,ttl,t)"
    assert one[5] == two[5] == 129_600.0


def _two_calls(connection: psycopg.Connection[Any], key: str) -> tuple[int, int]:
    """Enqueue with all options, and by a hash of some arguments; return the ids."""
    hashed = """
        select pgqueue.enqueue('send', args, key => pgqueue.unique_key('send', args, '{a,b}'))
        from (values (%s::jsonb)) given(args)
    """
    arguments = '{"b": [1, {"y": 1.50, "x": null}], "a": "\\\\ \\" é", "c": 0}'
    return by_name(connection, {"key": key, **EVERYTHING}, "send", ARGS), first(connection, hashed, arguments)


# Functions and operators with the names of those that ours use, put before them.
FUNCTIONS = (
    "now() returns timestamptz",
    "clock_timestamp() returns timestamptz",
    "statement_timestamp() returns timestamptz",
    "jsonb_each(jsonb) returns setof record",
    "jsonb_typeof(jsonb) returns text",
    "jsonb_array_elements(jsonb) returns setof jsonb",
    "jsonb_array_elements_text(jsonb) returns setof text",
    "length(text) returns int",
    "octet_length(text) returns int",
    "sha256(bytea) returns bytea",
    "encode(bytea, text) returns text",
    "decode(text, text) returns bytea",
    "nextval(regclass) returns bigint",
    "quote_literal(text) returns text",
    "current_setting(text, boolean) returns text",
    "pg_notify(text, text) returns void",
    "pg_input_is_valid(text, text) returns boolean",
    "unnest(anyarray) returns setof anyelement",
    "generate_series(int, int) returns setof int",
    "to_jsonb(anyelement) returns jsonb",
    "md5(text) returns text",
)
OPERATORS = (
    ("=", "text", "text", "boolean"),
    ("=", "bigint", "bigint", "boolean"),
    ("<>", "text", "text", "boolean"),
    ("<>", "bigint", "bigint", "boolean"),
    (">", "int", "int", "boolean"),
    ("<=", "timestamptz", "timestamptz", "boolean"),
    (">", "timestamptz", "timestamptz", "boolean"),
    ("+", "timestamptz", "interval", "timestamptz"),
    ("*", "float8", "interval", "interval"),
    ("||", "text", "text", "text"),
    ("||", "jsonb", "jsonb", "jsonb"),
    ("->", "jsonb", "text", "jsonb"),
    ("->>", "jsonb", "text", "text"),
    ("?", "jsonb", "text", "boolean"),
)


@pytest.fixture
def hostile(database: psycopg.Connection, caller: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of a producer and admin whose own schema stands before pg_catalog, full of traps."""
    database.execute(f"create schema {CALLER} authorization {CALLER}".encode())
    database.execute("select pgqueue.grant_access(r, 'sql_caller') from unnest('{producer,admin}'::text[]) r")
    with psycopg.connect(caller, autocommit=True, prepare_threshold=None) as connection:
        trap = "language plpgsql as $$ begin raise exception 'trapped as %', current_user; end $$"
        for function in FUNCTIONS:
            connection.execute(f"create function {CALLER}.{function} {trap}".encode())
        for number, (sign, left, right, result) in enumerate(OPERATORS):
            name = f"{CALLER}.operator_{number}"
            connection.execute(f"create function {name}({left}, {right}) returns {result} {trap}".encode())
            connection.execute(
                f"create operator {CALLER}.{sign} (function = {name}, leftarg = {left}, rightarg = {right})".encode()
            )
        connection.execute(f"set search_path = {CALLER}, pg_catalog".encode())
        yield connection


def _call_all(connection: psycopg.Connection[Any]) -> None:
    """Call every function once, so that each of its branches runs."""
    job = by_name(connection, {"key": "k", **EVERYTHING}, "send", ARGS)
    many = in_bulk(
        connection, {"task": "a", "headers": {"a": "b"}, "tags": ["x"]}, {"task": "b", "key": "k2", "delay": "1h"}
    )
    by_name(connection, {"key": "k2", "on_conflict": "replace"})
    with pytest.raises(psycopg.errors.UniqueViolation):
        by_name(connection, {"key": "k", "queue": "mail", "on_conflict": "raise"})
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        in_bulk(connection, {"task": "a", "priority": 10})
    connection.execute("select pgqueue.unique_key('a', '{\"x\": 1}', '{x}'::pg_catalog.text[])")
    connection.execute("select * from pgqueue.job_states(array[1, 2]::bigint[])")
    for verb, answer in (("cancel", "cancelled"), ("retry", "retried"), ("cancel", "cancelled")):
        assert first(connection, f"select pgqueue.{verb}({job})") == answer
    assert first(connection, f"select pgqueue.cancel({many[1][1]})") == "cancelled"
    connection.execute("select pgqueue.pause('mail'), pgqueue.resume('mail')")


def test_a_schema_put_before_ours_changes_nothing(hostile: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match=f"trapped as {CALLER}"):
        hostile.execute("select now()")
    with pytest.raises(psycopg.errors.RaiseException, match="trapped"):
        hostile.execute("select 'a'::text = 'b'::text")
    _call_all(hostile)


def test_a_temporary_type_of_the_same_name_runs_nothing_with_the_owners_rights(
    database: psycopg.Connection, caller: str
) -> None:
    """The temporary schema is searched first, unless a function names it; a domain's check runs as who casts to it."""
    database.execute("select pgqueue.grant_access(r, 'sql_caller') from unnest('{producer,admin}'::text[]) r")
    heard: list[str | None] = []
    with psycopg.connect(caller, autocommit=True, prepare_threshold=None) as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        for name in ("text", "jsonb", "float8", "timestamptz", "regclass", "date", "bool"):
            connection.execute(
                f"""
                create function pg_temp.trap(pg_catalog.{name}) returns pg_catalog.bool language plpgsql as $$
                begin
                  raise warning 'trapped as %', current_user;
                  return true;
                end $$;
                create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.trap(value));
                """.encode()
            )
        connection.execute("select 'a'::pg_temp.text")
        assert heard == [f"trapped as {CALLER}"]
        job = first(connection, "select pgqueue.enqueue('a', '{\"x\": 1}', queue => 'q', key => 'k', delay => '1 h')")
        connection.execute("select pgqueue.enqueue('a', key => 'k', queue => 'q', on_conflict => 'replace')")
        connection.execute("""select * from pgqueue.enqueue_many('[{"task": "a", "tags": ["x"]}]')""")
        connection.execute(f"select pgqueue.cancel({job}), pgqueue.unique_key('a')")
        connection.execute("select pgqueue.pause('q'), pgqueue.resume('q')")
        connection.execute("select * from pgqueue.job_states('{1}')")
    assert heard == [f"trapped as {CALLER}"]
