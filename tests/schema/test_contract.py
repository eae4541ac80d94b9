"""What the schema and the SQL files promise to readers: comments, headers, keys, states."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from pgqueue.model.states import FINAL, LIVE, TRANSITIONS, JobState
from tests.support import ROOT

SQL = ROOT / "pgqueue" / "postgres" / "sql"
PUBLIC_VIEWS = ("all_jobs", "all_attempts", "queue_stats")
HEADER = ("parameters", "result", "rows locked", "states", "index")


def header(file: Path) -> dict[str, str]:
    """Return the entries of a file's header by name; a longer entry goes on in the next lines."""
    entries: dict[str, str] = {}
    current = ""
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("--"):
            break
        entry = re.match(rf"--   ({'|'.join(HEADER)})\s+(.*)", line)
        if entry:
            current = entry[1]
            entries[current] = entry[2]
        elif current:
            entries[current] += " " + line.removeprefix("--").strip()
    return entries


def files() -> dict[str, Path]:
    """Return every statement by name."""
    found = {str(file.relative_to(SQL).with_suffix("")): file for file in sorted(SQL.rglob("*.sql"))}
    assert len(found) > 20
    return found


def moves(states: str) -> frozenset[tuple[str, str]]:
    """Read a line like "ready | scheduled -> cancelled; running stays and is told" into pairs."""
    pairs = set()
    for part in states.split(";"):
        before, arrow, after = part.partition(" -> ")
        if arrow:
            origins = [word.strip() for word in before.split("|")]
            targets = [word.strip() for word in re.split("[,:]", after, maxsplit=1)[0].split("|")]
            pairs |= {(origin, target) for origin in origins for target in targets}
    return frozenset(pairs)


def test_every_statement_says_what_it_takes_gives_locks_moves_and_uses() -> None:
    for name, file in files().items():
        assert tuple(header(file)) == HEADER, name
        assert all(header(file).values()), name
        assert file.read_text("utf-8").startswith("-- "), name


def test_the_transitions_of_the_model_are_those_of_the_sql_files() -> None:
    written = {name: moves(header(file)["states"]) for name, file in files().items()}
    assert {name: pairs for name, pairs in written.items() if pairs} == TRANSITIONS


def test_every_transition_is_between_known_states_and_every_state_is_reached() -> None:
    pairs = {pair for known in TRANSITIONS.values() for pair in known}
    assert {origin for origin, _ in pairs} <= set(JobState) | {"-"}
    assert {target for _, target in pairs} == set(JobState)
    assert {origin for origin, _ in pairs} - {"-"} >= LIVE
    assert set(JobState) == LIVE | FINAL


def test_a_statement_without_moves_touches_no_lane() -> None:
    for name, file in files().items():
        # those of testing/ move times, while nothing runs; a start is noted in the lease that holds the job
        if (
            not moves(header(file)["states"])
            and not name.startswith("testing/")
            and name not in ("lease/start", "lease/pardon")
        ):
            changed = re.findall(r"(?:insert into|update|delete from) \{schema\}\.(\w+)", file.read_text("utf-8"))
            assert not {"job", "ready", "scheduled", "lease", "job_history"} & set(changed), name


def test_the_index_that_a_statement_names_exists(database: psycopg.Connection) -> None:
    known = {name for (name,) in database.execute("select indexrelid::regclass::text from pg_index").fetchall()}
    for name, file in files().items():
        for index in re.findall(r"\b\w+(?:_pkey|_order|_job)\b", header(file)["index"]):
            assert f"pgqueue.{index}" in known, f"{name} names {index}"


def test_every_column_of_the_public_views_has_a_comment(database: psycopg.Connection) -> None:
    rows = database.execute(
        """
        select c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid)
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'v'
        """
    ).fetchall()
    assert {row[0] for row in rows} >= set(PUBLIC_VIEWS)
    silent = [(view, column) for view, column, said, whole in rows if view in PUBLIC_VIEWS and not (said and whole)]
    assert silent == []


def test_every_table_has_a_comment(database: psycopg.Connection) -> None:
    silent = database.execute(
        """
        select relname from pg_class where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p')
          and not relispartition and relname <> 'migration' and obj_description(oid) is null order by 1
        """
    ).fetchall()
    assert silent == []


def test_every_table_can_be_published(database: psycopg.Connection) -> None:
    """A publication FOR ALL TABLES refuses updates and deletes of a table without a replica identity."""
    bare = database.execute(
        """
        select relname from pg_class c where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p')
          and relreplident <> 'f' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
        """
    ).fetchall()
    assert bare == []
    lanes = database.execute(
        "select relname, relreplident::text from pg_class where oid in ('pgqueue.ready'::regclass, 'pgqueue.scheduled'::regclass)"
    ).fetchall()
    assert sorted(lanes) == [("ready", b"f"), ("scheduled", b"f")] or sorted(lanes) == [
        ("ready", "f"),
        ("scheduled", "f"),
    ]


def test_the_tables_of_live_jobs_refuse_truncate(database: psycopg.Connection) -> None:
    for table in ("job", "ready", "scheduled", "lease"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refusal:
            database.execute(f"truncate pgqueue.{table}".encode())
        assert "cancel" in (refusal.value.diag.message_hint or "")


def test_a_partition_keeps_the_keys_of_its_parent_and_bounds_at_utc_midnight(database: psycopg.Connection) -> None:
    database.execute("set timezone = 'Asia/Kathmandu'; select pgqueue.make_partitions(20); set timezone = 'UTC'")
    rows = database.execute(
        """
        select p.relname, count(*), count(*) filter (where exists (
            select from pg_index i where i.indrelid = c.oid and i.indisprimary)),
          count(*) filter (where pg_get_expr(c.relpartbound, c.oid) like '%% 00:00:00+00''%% 00:00:00+00''%%')
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where p.relkind = 'p' group by 1 order by 1
        """
    ).fetchall()
    assert [(row[0], row[1] >= 21, row[2] == row[1], row[3] == row[1]) for row in rows] == [
        ("job_attempt", True, True, True),
        ("job_history", True, True, True),
    ]


def test_only_the_schema_is_put_into_sql_and_every_name_is_qualified() -> None:
    frozen = sorted((ROOT / "alembic" / "versions").rglob("*.sql"))
    for file in [*files().values(), *frozen]:
        text = re.sub(r"--.*", "", file.read_text("utf-8"))
        assert set(re.findall(r"\{([a-z_]+)\}", text)) <= {"schema"}, file
        assert "pgqueue." not in text.replace("'pgqueue.", "'"), file


def test_the_folder_of_migrations_is_no_package() -> None:
    """With an __init__.py it would be imported in place of Alembic itself."""
    assert not list((ROOT / "alembic").rglob("__init__.py"))
    import alembic

    assert alembic.__file__ is not None
    assert Path(alembic.__file__).parent != ROOT / "alembic"
