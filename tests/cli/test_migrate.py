"""``pgqueue migrate`` and ``pgqueue adopt``."""

from __future__ import annotations

import psycopg

from tests.cli.conftest import Run


def test_a_second_schema_is_made_checked_and_dropped(run: Run, database: psycopg.Connection) -> None:
    assert run("migrate", "--check", "--schema", "other").code == 1
    assert run("migrate", "--schema", "other", "--json").json == {"before": "base", "after": "0003"}
    assert run("migrate", "--check", "--schema", "other").code == 0
    assert run("migrate", "--schema", "other").out == "The schema stays at 0003.\n"
    assert run("migrate", "--schema", "other", "--to", "base", "--yes").out == "The schema went from 0003 to base.\n"
    left = database.execute("select count(*) from pg_class where relnamespace = 'other'::regnamespace").fetchone()
    assert left == (2,), "only Alembic's version table and its index stay"


def test_the_sql_is_printed_without_a_database(run: Run) -> None:
    ended = run("migrate", "--sql", "--dsn", "postgresql://nobody@nowhere.invalid/none", "--schema", "elsewhere")
    assert ended.code == 0
    assert 'create table "elsewhere".job (' in ended.out


def test_a_revision_that_does_not_exist_is_refused(run: Run) -> None:
    ended = run("migrate", "--to", "9999")
    assert ended.code == 2
    assert "9999" in ended.err


def test_a_schema_name_that_is_not_plain_is_refused(run: Run) -> None:
    ended = run("migrate", "--schema", 'x"; drop schema pgqueue')
    assert ended.code == 2
    assert "plain lower-case identifier" in ended.err


def test_adoption_is_recorded(run: Run, database: psycopg.Connection) -> None:
    database.execute("update pgqueue.home set system_identifier = 1")
    assert run("adopt").code == 0
    row = database.execute(
        "select h.system_identifier = s.system_identifier, (select action from pgqueue.operator_action) "
        "from pgqueue.home h, pg_control_system() s"
    ).fetchone()
    assert row == (True, "adopt")


def test_everything_is_dropped_only_when_somebody_says_yes(run: Run, database: psycopg.Connection) -> None:
    ended = run("migrate", "--to", "base")
    assert ended.code == 2
    assert "Pass --yes" in ended.err
    assert database.execute("select to_regclass('pgqueue.job') is not null").fetchone() == (True,)


def test_options_that_exclude_each_other_are_refused(run: Run) -> None:
    for options in (("--sql", "--check"), ("--sql", "--to", "base"), ("--check", "--to", "base"), ("--sql", "--json")):
        assert run("migrate", *options).code == 2


def test_a_role_without_the_right_is_told_so_in_one_sentence(run: Run, dsn: str, database: psycopg.Connection) -> None:
    database.execute("create role visitor login")
    visitor = dsn.replace("postgres@", "visitor@")
    for command in (("migrate", "--schema", "mine"), ("migrate", "--check"), ("jobs", "list")):
        ended = run(*command, "--dsn", visitor)
        assert ended.code == 2, command
        assert "The database role may not do this" in ended.err
        assert "Traceback" not in ended.err
    database.execute("drop role visitor")
