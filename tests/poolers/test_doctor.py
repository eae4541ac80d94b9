"""What the doctor finds behind a pooler, and that its remedies work."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import EmbeddedServer, PgQueue
from pgqueue.backend import Finding
from tests.pooler import Pooler


def look(dsn: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in PgQueue(dsn).inspector.diagnose()}


def test_behind_a_pooler_of_sessions_all_is_well(session_pooler: Pooler, dsn: str) -> None:
    found = look(session_pooler.dsn_of(dsn))
    assert {name for name, finding in found.items() if finding.level != "ok"} == {"autovacuum"}
    assert "for a session" in found["pooler"].message


def test_the_statements_that_it_prints_pin_the_plans(
    lent_dsn: str, dsn: str, database: psycopg.Connection, server: EmbeddedServer
) -> None:
    found = look(lent_dsn)
    assert {name for name, finding in found.items() if finding.level != "ok"} == {"autovacuum", "pooler", "settings"}
    assert "lends a server for a transaction" in found["pooler"].message
    assert found["settings"].remedy is not None
    _, *statements = found["settings"].remedy.splitlines()
    assert 'alter role "postgres" in database' in statements[0]
    try:
        for statement in statements:
            database.execute(statement.encode())
        lent = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> %s"
        database.execute(lent, (database.info.backend_pid,))  # the pooler reconnects
        assert look(lent_dsn)["settings"].level == "ok"
    finally:
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(f"alter role postgres in database {owner.info.dbname} reset all".encode())


def test_the_way_around_is_looked_at(lent_dsn: str, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQUEUE_DIRECT_DSN", dsn)
    found = look(lent_dsn)
    assert (found["pooler"].level, found["direct"].level) == ("ok", "ok")
    assert look(dsn)["direct"].message == "PGQUEUE_DIRECT_DSN is set and not needed"
    for wrong, words in (
        (make_conninfo(dsn, dbname="postgres"), "another database"),
        (lent_dsn, "leads to a pooler"),
        ("postgresql://nobody@/none?host=/nowhere", "cannot be reached"),
    ):
        monkeypatch.setenv("PGQUEUE_DIRECT_DSN", wrong)
        finding = look(lent_dsn)["direct"]
        assert finding.level == "fail"
        assert words in finding.message


def test_a_pooler_of_statements_is_a_failure(server: EmbeddedServer, dsn: str) -> None:
    from tests.pooler import pooled

    with pooled(server.dsn, "statement") as front:
        assert look(front.dsn_of(dsn))["pooler"].level == "fail"
