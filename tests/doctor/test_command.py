"""``pgqueue doctor`` on the command line."""

from __future__ import annotations

import json

import psycopg

from pgqueue.backend import Finding
from tests.doctor.conftest import Look
from tests.support import run_program


def test_a_well_database_ends_with_0_and_each_check_is_one_aligned_line(dsn: str, look: Look) -> None:
    ended = run_program(["doctor", "--dsn", dsn])
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line for line in ended.stdout.splitlines() if line[:4].strip() in ("ok", "warn", "fail")]
    assert [line.split()[1] for line in lines] == list(look())
    assert len({line.index(line.split(maxsplit=2)[2]) for line in lines}) == 1
    assert ended.stdout.splitlines()[-1] == f"{len(lines)} checks, 1 to look at."


def test_a_failure_ends_with_1_and_says_what_to_do(dsn: str, database: psycopg.Connection) -> None:
    database.execute("update pgqueue.home set database_oid = 1")
    ended = run_program(["doctor", "--dsn", dsn])
    assert ended.returncode == 1
    assert "fail  home" in ended.stdout
    assert "run: pgqueue adopt\n" in ended.stdout
    assert "1 to repair and 1 to look at." in ended.stdout


def test_it_prints_json(dsn: str) -> None:
    ended = run_program(["doctor", "--dsn", dsn, "--json"])
    assert ended.returncode == 0
    findings = [Finding(**finding) for finding in json.loads(ended.stdout)]
    assert findings[0].name == "connection"
    assert {finding.level for finding in findings} == {"ok", "warn"}


def test_a_database_that_is_away_ends_with_1_and_one_that_is_not_named_with_2() -> None:
    assert run_program(["doctor", "--dsn", "postgresql://nobody@/none?host=/nowhere"]).returncode == 1
    assert run_program(["doctor"]).returncode == 2


def test_the_schema_is_named_in_what_to_do(dsn: str) -> None:
    ended = run_program(["doctor", "--dsn", dsn, "--schema", "jobs_eu"])
    assert ended.returncode == 1
    assert "Run: pgqueue migrate --schema jobs_eu" in ended.stdout
