"""A bulk from a generator takes constant memory, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from tests.support import ROOT

WARM = 1000  # jobs that the process enqueues before it measures
# A program that takes the place of a fork begins with the peak of the one that forked, here that of all tests; behind a
# small shell it does not. With a word after the command, the shell cannot be replaced by it.
BEHIND_A_SHELL = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


def grow(dsn: str, count: int, *options: str, timeout: float = 60) -> dict[str, Any]:
    """Enqueue a bulk in a process of its own; return what it printed."""
    command = [*BEHIND_A_SHELL, sys.executable, "-m", "tests.bulk.grower", dsn, str(count), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr
    printed: dict[str, Any] = json.loads(ended.stdout)
    assert printed["before"] <= 100, "what was there before hides what is added"
    return printed


def test_a_hundred_thousand_jobs_take_constant_memory(dsn: str, database: psycopg.Connection) -> None:
    told = grow(dsn, 100_000)
    assert told["created"] == 100_000
    assert told["megabytes"] <= 20
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (100_000 + WARM,)


def test_jobs_that_are_large_by_their_headers_take_little_memory_too(dsn: str, database: psycopg.Connection) -> None:
    told = grow(dsn, 400, "--headers")  # 100 MB in all
    assert told["created"] == 400
    assert told["megabytes"] <= 60
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (400 + WARM,)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_jobs_take_constant_memory_and_are_all_or_none(dsn: str, database: psycopg.Connection) -> None:
    failed = grow(dsn, 1_000_000, "--fails", timeout=400)
    assert (failed["failed"], failed["created"]) == (1, 0)
    assert failed["megabytes"] <= 100
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (WARM,)
    told = grow(dsn, 1_000_000, timeout=400)
    print(f"{told['megabytes']:.1f} MB more; failing at the last: {failed['megabytes']:.1f} MB more")
    assert (told["failed"], told["created"]) == (0, 1_000_000)
    assert told["megabytes"] <= 100
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1_000_000 + 2 * WARM,)
    (ordered,) = database.execute(
        "select bool_and(number > before) from (select (args ->> 'user_id')::int as number, "
        "lag((args ->> 'user_id')::int) over (order by id) as before from (select * from pgqueue.job order by id offset %s) j) n",
        (2 * WARM,),
    ).fetchone() or (False,)
    assert ordered
