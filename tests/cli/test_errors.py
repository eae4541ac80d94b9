"""Every error says what is wrong and what to do, and ends with its own code."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.cli.conftest import Run
from tests.support import run_program


def test_without_a_database_the_remedy_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGQUEUE_DSN")
    ended = run("jobs", "list")
    assert ended.code == 2
    assert "Set PGQUEUE_DSN" in ended.err


def test_a_database_that_is_away_ends_with_four(run: Run) -> None:
    ended = run("jobs", "list", "--json", "--dsn", "postgresql://user@/none?host=/nonexistent")
    assert ended.code == 4
    assert json.loads(ended.err)["error"]["type"] == "BackendUnavailable"


def test_a_database_without_the_schema_says_migrate(run: Run) -> None:
    ended = run("jobs", "list", "--schema", "nowhere")
    assert ended.code == 2
    assert "Run: pgqueue migrate" in ended.err


def test_a_dsn_that_cannot_be_read_is_refused(run: Run) -> None:
    ended = run("jobs", "list", "--dsn", "mysql://root@localhost/shop")
    assert ended.code == 2
    assert "DSN cannot be read" in ended.err


def test_an_unknown_command_ends_with_two(run: Run) -> None:
    ended = run("jbos")
    assert ended.code == 2
    assert "jbos" in ended.err


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("tests.no_such_module", "There is no module"),
        ("tests.support", "holds 0 PgQueue objects"),
        ("tests.support:nothing", "has no PgQueue named"),
        ("..", "is not a module's name"),
    ],
)
def test_an_application_that_cannot_be_found_is_named(run: Run, app: str, words: str) -> None:
    ended = run("worker", app)
    assert ended.code == 2
    assert words in ended.err


def test_a_worker_refuses_a_copy_that_nobody_adopted(dsn: str, database: psycopg.Connection) -> None:
    database.execute("update pgqueue.home set system_identifier = 1")
    ended = run_program(["worker", "tests.cli.application"], env={"PGQUEUE_DSN": dsn})
    assert ended.returncode == 2
    assert "pgqueue adopt" in ended.stderr


def test_a_worker_without_a_database_ends_with_four() -> None:
    ended = run_program(
        ["worker", "tests.cli.application"], env={"PGQUEUE_DSN": "postgresql://user@/none?host=/nonexistent"}
    )
    assert ended.returncode == 4
    assert "PostgreSQL cannot be reached" in ended.stderr


@pytest.mark.parametrize("queue", ["mail:0", ":3"])
def test_a_weight_that_is_none_is_refused(dsn: str, queue: str) -> None:
    ended = run_program(["worker", "tests.cli.application", "-q", queue], env={"PGQUEUE_DSN": dsn})
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
