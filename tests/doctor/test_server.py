"""What the doctor says of what slows a server down: made to happen, then repaired by the remedy."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue.backend import Finding
from pgqueue.postgres.doctor import server
from tests.doctor.conftest import Look
from tests.roles.conftest import Login
from tests.storage.hands import ask, enqueue
from tests.support import Watch


def statement_of(finding: Finding) -> bytes:
    """Return the statement that a remedy names."""
    assert finding.remedy is not None
    return finding.remedy.rpartition("run: ")[2].encode()


def test_an_open_transaction_is_named_and_ended_by_the_remedy(
    look: Look, dsn: str, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLD_TRANSACTION", 0.0)
    assert look()["horizon"].level == "ok"
    with psycopg.connect(dsn) as holder:
        holder.execute("select pg_current_xact_id(), 'the report of the month'")
        found = look()["horizon"]
        assert found.level == "warn"
        assert (
            f"transaction {holder.info.backend_pid} keeps dead rows: of postgres, idle in transaction" in found.message
        )
        assert "the report of the month" in found.message
        database.execute(statement_of(found))
        with pytest.raises(psycopg.OperationalError):
            holder.execute("select 1")
    monkeypatch.undo()
    assert look()["horizon"].level == "ok"


def test_a_young_transaction_is_no_complaint(look: Look, dsn: str) -> None:
    with psycopg.connect(dsn) as holder:
        holder.execute("select pg_current_xact_id()")
        found = look()["horizon"]
    assert found.level == "ok"
    assert "no transaction is old" in found.message


def test_a_prepared_transaction_is_named(
    look: Look, dsn: str, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLD_TRANSACTION", 0.0)
    with psycopg.connect(dsn) as holder:
        holder.execute("select pg_current_xact_id()")
        holder.execute("prepare transaction 'order 7'")
    try:
        found = look()["horizon"]
        assert "prepared transaction order 7 keeps dead rows: of postgres" in found.message
        assert found.remedy is not None
        assert "rollback prepared 'order 7'" in found.remedy
    finally:
        database.execute("rollback prepared 'order 7'")


def test_a_role_that_cannot_see_others_says_so(look: Look, login: Login, database: psycopg.Connection) -> None:
    dsn = login("worker")
    found = look(dsn)["horizon"]
    assert found.level == "warn"
    assert "of other roles cannot be looked at" in found.message
    database.execute(statement_of(found))
    assert look(dsn)["horizon"].level == "ok"


@pytest.mark.parametrize(("ahead", "level"), [(0, "fail"), (1, "fail"), (5, "warn"), (14, "ok")])
def test_a_missing_day_of_history_is_named_and_made_by_the_remedy(
    look: Look, database: psycopg.Connection, ahead: int, level: str
) -> None:
    day = ask(database, "select to_char((now() at time zone 'UTC')::date + %s::int, 'YYYYMMDD')", ahead)
    database.execute(f"drop table pgqueue.job_attempt_{day}".encode())
    found = look()["partitions"]
    assert found.level == level
    if level != "ok":
        assert f"{day[:4]}-{day[4:6]}-{day[6:]}" in found.message
        database.execute(statement_of(found))
        assert look()["partitions"].level == "ok"


def test_days_that_should_be_gone_are_counted(look: Look, database: psycopg.Connection) -> None:
    database.execute("select pgqueue.make_partition('job_history', '2020-01-01')")
    found = look()["partitions"]
    assert found.level == "warn"
    assert "1 partition of history should be gone, such as job_history_20200101" in found.message
    database.execute("select pgqueue.retire_partition('job_history_20200101')")
    assert look()["partitions"].level == "ok"


def test_dead_rows_are_counted(
    look: Look, database: psycopg.Connection, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MANY_DEAD", 50)
    enqueue(database, 60)
    database.execute("select pgqueue.cancel(id) from pgqueue.job")
    database.execute("delete from pgqueue.ready")
    database.execute("select pg_stat_force_next_flush()")
    watch.until("select n_dead_tup >= 60 from pg_stat_user_tables where relname = 'ready'")
    found = look()["lanes"]
    assert found.level == "warn"
    assert "60 dead rows beside 0 live ones" in found.message
    database.execute("vacuum pgqueue.ready, pgqueue.job")
    assert look()["lanes"].level == "ok"


def test_a_server_that_is_almost_full_is_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert " of 197 in use" in look()["connections"].message
    monkeypatch.setattr(server, "FEW_CONNECTIONS", 10_000)
    assert look()["connections"].level == "warn"
