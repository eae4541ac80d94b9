"""``pgqueue grant`` and ``pgqueue revoke``."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.cli.conftest import Run


@pytest.fixture
def web(database: psycopg.Connection) -> Iterator[str]:
    """A role of the database."""
    name = f"web_{database.info.dbname}"
    database.execute(f"create role {name}".encode())
    yield name
    database.execute(f"drop owned by {name}; drop role {name}".encode())


def test_a_role_is_granted_and_taken(run: Run, web: str) -> None:
    assert run("grant", "producer", web).out == f"{web} is now producer: 7 privileges granted.\n"
    assert run("grant", "producer", web, "--json").json == {"role": "producer", "name": web, "privileges": 7}
    assert run("revoke", "producer", web).out == f"{web} is producer no more: 7 privileges revoked.\n"
    assert run("revoke", "producer", web, "--json").json["privileges"] == 7


def test_a_role_that_is_none_is_refused(run: Run, web: str) -> None:
    ended = run("grant", "boss", web)
    assert (ended.code, ended.out) == (2, "")
    assert "producer, worker, auditor, admin" in ended.err


def test_a_role_that_the_database_lacks_is_named(run: Run) -> None:
    ended = run("grant", "producer", "nobody_at_all")
    assert ended.code == 2
    assert "nobody_at_all" in ended.err
