"""What the doctor says of the place: reached, migrated, at home, with the rights of a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue.inspect import doctor
from pgqueue.postgres.connections import PINNED, Settings
from pgqueue.postgres.doctor import asking, place
from pgqueue.postgres.inspection import PostgresInspection
from pgqueue.postgres.migrate import head, migrate
from tests.doctor.conftest import Look
from tests.roles.conftest import ROLES, Login


def test_a_fresh_database_is_well(look: Look) -> None:
    found = look()
    levels = {name: finding.level for name, finding in found.items() if finding.level != "ok"}
    assert levels == {"autovacuum": "warn"}, "the server of the tests runs without"
    assert all(finding.remedy is None for finding in found.values() if finding.level == "ok")
    assert len(found) >= 20


def test_every_line_is_one_line_and_every_complaint_has_a_remedy(look: Look, dsn: str) -> None:
    for found in (look(), look(make_conninfo(dsn, dbname="postgres")), look("postgresql://nobody@/none?host=/nowhere")):
        for finding in found.values():
            assert "\n" not in finding.message
            assert not finding.message.endswith(".")
            assert (finding.level == "ok") == (finding.remedy is None), finding


def test_a_database_that_cannot_be_reached_is_a_finding_and_no_error(look: Look) -> None:
    found = look("postgresql://nobody@/none?host=/nowhere")
    assert found["connection"].level == "fail"
    assert "cannot be reached" in found["connection"].message
    assert set(found) == {"connection", "driver", "python", "loop"}


def test_a_database_without_the_schema_is_told_to_migrate(look: Look, dsn: str) -> None:
    found = look(make_conninfo(dsn, dbname="postgres"))
    assert (found["schema"].level, found["schema"].remedy) == ("fail", "Run: pgqueue migrate")
    assert "home" not in found


def test_an_older_schema_is_told_to_migrate_and_a_newer_one_is_left_alone(
    look: Look, settings: Settings, database: psycopg.Connection
) -> None:
    migrate(settings, "0002")
    found = look()["schema"]
    assert (found.level, found.remedy) == ("fail", "Run: pgqueue migrate")
    assert f'"pgqueue" is at 0002, and this version needs {head()}' == found.message
    migrate(settings)
    assert look()["schema"].level == "ok"
    database.execute("update pgqueue.migration set version_num = '9000'")
    found = look()["schema"]
    assert found.level == "warn"
    assert "at 9000" in found.message


def test_a_copy_is_told_that_it_is_one(look: Look, database: psycopg.Connection) -> None:
    database.execute("update pgqueue.home set database_oid = 1")
    found = look()["home"]
    assert found.level == "fail"
    assert found.remedy is not None
    assert found.remedy.endswith("run: pgqueue adopt")
    database.execute("select pgqueue.adopt()")
    assert look()["home"].level == "ok"


@pytest.mark.parametrize("name", ROLES)
def test_only_a_worker_has_the_rights_of_one_and_nobody_meets_an_error(look: Look, login: Login, name: str) -> None:
    found = look(login(name))
    assert found["role"].level == ("ok" if name == "worker" else "warn")
    assert [finding for finding in found.values() if finding.level == "fail"] == []


def test_a_role_that_lacks_a_right_is_told_which_and_how_to_get_it(
    look: Look, login: Login, database: psycopg.Connection
) -> None:
    dsn = login("worker")
    name = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
    database.execute(f"revoke update on pgqueue.lease from {name}".encode())
    found = look(dsn)["role"]
    assert found.message == f"{name} lacks 1 privilege of a worker: update on lease"
    assert found.remedy is not None
    assert found.remedy.endswith(f"run: pgqueue grant worker {name}")


def test_what_a_worker_needs_is_what_it_is_granted(database: psycopg.Connection) -> None:
    granted = database.execute(
        "select kind, object, trim(privilege) from pgqueue.role_grants(), unnest(objects) object, "
        "unnest(string_to_array(privileges, ',')) privilege where 'worker' = any(roles)"
    ).fetchall()
    needed = set(place.needed("pgqueue")) - {("schema", "pgqueue", "usage")}
    assert {row for row in granted if row[2] != "maintain"} == needed


@pytest.mark.parametrize(("ahead", "words"), [(90, " s behind"), (-10_000, "3 h ahead of")])
def test_clocks_that_disagree_are_told(settings: Settings, ahead: int, words: str) -> None:
    clock = {f.name: f for f in doctor.diagnose(PostgresInspection(settings), lambda: _shifted(ahead))}["clock"]
    assert clock.level == "warn"
    assert words in clock.message


def _shifted(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_check_that_gets_no_answer_says_so_and_the_others_go_on(
    look: Look, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LIMIT", "100ms")
    with database.transaction():
        database.execute("lock table pgqueue.job in access exclusive mode")
        found = look()
    assert (found["places"].level, found["suspects"].level, found["home"].level) == ("warn", "warn", "ok")
    assert "no answer within" in found["places"].message


def test_a_slow_connect_and_a_slow_driver_are_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "SLOW_CONNECT", -1.0)
    monkeypatch.setattr(psycopg.pq, "__impl__", "python")
    found = look()
    assert (found["connection"].level, found["driver"].level) == ("warn", "warn")
    assert found["driver"].remedy == "Run: pip install 'pgqueue[binary]'"


def test_without_a_pooler_a_workers_connection_has_every_setting_whatever_the_database_says(
    look: Look, database: psycopg.Connection
) -> None:
    for name in PINNED:
        database.execute(f"alter database {database.info.dbname} reset {name}".encode())
    database.execute(f"alter database {database.info.dbname} set jit = on".encode())
    assert look()["settings"].level == "ok"
