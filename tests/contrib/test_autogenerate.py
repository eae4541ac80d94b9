"""An application's own ``alembic revision --autogenerate`` sees its tables and not ours."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate, tables
from tests.contrib.project import Project
from tests.schema.catalogue import objects

CREATED = ["create_table", "create_index", "create_table"]
DROPPED = ["drop_table", "drop_index", "drop_table"]


class Situation(NamedTuple):
    """Where our tables are, where theirs are, what Alembic looks at, and whether it would drop ours."""

    ours: str = "pgqueue"
    theirs: str | None = None
    path: str = ""
    include_schemas: bool = True
    danger: bool = True


# SQLAlchemy before 2.1 does not list a schema whose name begins with "pg", so there the danger is only in other names.
SITUATIONS = {
    "one schema is looked at": Situation(include_schemas=False, danger=False),
    "all schemas are looked at": Situation(),
    "ours has another name": Situation(ours="order"),
    "theirs are among ours": Situation(theirs="pgqueue"),
    "ours is the default schema": Situation(path="pgqueue", include_schemas=False),
    "ours is the default schema and all are looked at": Situation(path="pgqueue"),
    "ours is public": Situation(ours="public", include_schemas=False),
}


@pytest.fixture
def migrated(dsn: str, database: psycopg.Connection, situation: Situation) -> str:
    """A database with our tables in the schema of the situation, and a partition that stands apart."""
    if situation.ours != "pgqueue":
        database.execute("drop schema pgqueue cascade")
        migrate(Settings(dsn, situation.ours))
    first = database.execute("select min(relname) from pg_class where relname like 'job\\_history\\_2%'").fetchone()
    assert first is not None
    schema = f'"{situation.ours}"'
    database.execute(f"alter table {schema}.job_history detach partition {schema}.{first[0]}".encode())
    return dsn


def project_of(folder: Path, dsn: str, situation: Situation, hook: str) -> Project:
    options = f"include_schemas={situation.include_schemas}, {hook}"
    return Project(folder / "own", dsn, options=options, theirs=situation.theirs, path=situation.path)


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_only_the_applications_own_tables_are_seen(
    migrated: str, situation: Situation, database: psycopg.Connection, tmp_path: Path
) -> None:
    before = objects(database, situation.ours)
    bare = project_of(tmp_path / "bare", migrated, situation, "").autogenerate().text
    for name in ("drop_table('job'", "drop_table('job_history_2", "'ready_order'"):
        assert (name in bare) is situation.danger, f"without the hook: {name}"
    project = project_of(tmp_path, migrated, situation, f"**without_pgqueue(schema={situation.ours!r})")
    found = project.autogenerate()
    assert (found.up, found.down) == (CREATED, DROPPED), found.text
    project.upgrade()
    project.check()
    assert before <= objects(database, situation.ours)
    project.downgrade("base")
    assert before <= objects(database, situation.ours)


def test_the_own_hooks_are_asked_about_everything_else(dsn: str, database: psycopg.Connection, tmp_path: Path) -> None:
    database.execute("create table public.legacy (id int); create table public.job (id int)")
    hook = (
        "**without_pgqueue(include_name=lambda name, kind, parents: name != 'legacy', "
        "include_object=lambda item, name, kind, reflected, other: name not in ('purchase', 'ix_customer_name'))"
    )
    found = Project(tmp_path / "own", dsn, options=f"include_schemas=True, {hook}").autogenerate()
    assert found.up == ["create_table", "drop_table"], found.text
    assert "op.drop_table('job')" in found.text, "a table of the same name in another schema is not ours"


def test_our_views_in_the_applications_metadata_are_not_created(dsn: str, tmp_path: Path) -> None:
    hook = "**[pgqueue.metadata.tables['pgqueue.all_jobs'].to_metadata(target_metadata), without_pgqueue()][1]"
    found = Project(tmp_path / "own", dsn, options=hook.replace("pgqueue.m", "__import__('pgqueue').m")).autogenerate()
    assert found.up == CREATED, found.text


def test_every_table_of_ours_is_known(database: psycopg.Connection) -> None:
    there = database.execute(
        "select relname from pg_class where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p') "
        "and not relispartition"
    ).fetchall()
    assert {name for (name,) in there} == tables()
