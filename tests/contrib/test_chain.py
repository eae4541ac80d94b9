"""Our migrations in the chain of an application's own: its connection, its transaction, its order."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from alembic import command
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pgqueue import ConfigurationError
from pgqueue.contrib.alembic import upgrade
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import head, migrate, pending
from tests.contrib.project import Project
from tests.schema.catalogue import everything, objects

CREATE = 'op.execute("create table public.{0} (id int)")'
DROP = 'op.execute("drop table public.{0}")'


@pytest.fixture
def bare(dsn: str, database: psycopg.Connection) -> str:
    """A database in which nothing has been made yet."""
    database.execute("drop schema pgqueue cascade")
    return dsn


def chain(folder: Path, dsn: str, *, schema: str = "pgqueue", since: bool = False) -> Project:
    """Return a project with a table before ours, ours in two steps with a table beside each, and one after."""
    project = Project(folder / "own", dsn)
    project.add("a", CREATE.format("before"), DROP.format("before"))
    here, there = (", since='base'", ", since='0001'") if since else ("", "")
    project.add(
        "b",
        f"pgqueue_upgrade('0001', schema={schema!r}{here}); {CREATE.format('beside')}",
        f"pgqueue_downgrade('base', schema={schema!r}{there}); {DROP.format('beside')}",
    )
    here, there = (", since='0001'", f", since={head()!r}") if since else ("", "")
    project.add(
        "c",
        f"pgqueue_upgrade({head()!r}, schema={schema!r}{here}); {CREATE.format('after')}",
        f"pgqueue_downgrade('0001', schema={schema!r}{there}); {DROP.format('after')}",
    )
    return project


def own(database: psycopg.Connection) -> list[str]:
    """Return the application's tables."""
    rows = database.execute("select tablename from pg_tables where schemaname = 'public' order by 1").fetchall()
    return [name for (name,) in rows if name != "alembic_version"]


@pytest.mark.parametrize("schema", ["pgqueue", "order"])
def test_ours_goes_up_and_down_in_the_applications_order(
    bare: str, schema: str, database: psycopg.Connection, tmp_path: Path
) -> None:
    settings = Settings(bare, schema)
    project = chain(tmp_path, bare, schema=schema)
    project.upgrade("b")
    assert pending(settings)[0] == "0001"
    project.upgrade()
    assert own(database) == ["after", "before", "beside"]
    assert pending(settings) == (head(), head())
    assert migrate(settings) == (head(), head()), "there is nothing left to do"
    by_chain = objects(database, schema)
    database.execute(f'drop schema "{schema}" cascade'.encode())
    migrate(settings)
    assert by_chain == objects(database, schema)
    project.downgrade("b")
    assert pending(settings)[0] == "0001"
    project.downgrade("a")
    assert pending(settings)[0] == "base"
    assert own(database) == ["before"]
    assert database.execute("select count(*) from pg_views where schemaname = %s", (schema,)).fetchone() == (0,)


def test_a_later_step_that_fails_takes_ours_back(bare: str, database: psycopg.Connection, tmp_path: Path) -> None:
    before = everything(database)
    project = Project(tmp_path / "own", bare)
    project.add("a", "pgqueue_upgrade('head')")
    project.add("b", "op.execute('select 1/0')")
    with pytest.raises(Exception, match="division by zero"):
        project.upgrade()
    assert everything(database) == before


def test_a_schema_that_is_there_already_is_left_as_it_is(bare: str, tmp_path: Path) -> None:
    settings = Settings(bare, "pgqueue")
    migrate(settings)
    project = chain(tmp_path, bare)
    project.upgrade()
    assert pending(settings) == (head(), head())
    project.downgrade("base")
    project.downgrade("base")
    assert pending(settings)[0] == "base"


def test_functions_of_the_application_in_our_schema_keep_their_rights(
    bare: str, database: psycopg.Connection, tmp_path: Path
) -> None:
    database.execute(
        "create function public.for_all() returns int return 1; create function public.for_some() returns int return 1; "
        "revoke execute on function public.for_some from public"
    )
    rights = (
        "select has_function_privilege('public', f, 'execute') from unnest('{for_all(),for_some()}'::regprocedure[]) f"
    )
    project = chain(tmp_path, bare, schema="public")
    project.upgrade()
    assert database.execute(rights).fetchall() == [(True,), (False,)]
    project.downgrade("base")
    assert database.execute(rights).fetchall() == [(True,), (False,)]


def _move(driver: str, dsn: str, project: Project) -> None:
    given = conninfo_to_dict(dsn)
    url = f"postgresql+{driver}://{given['user']}@/{given['dbname']}"
    host = {"unix_sock": f"{given['host']}/.s.PGSQL.5432"} if driver == "pg8000" else {"host": given["host"]}
    for move, to in ((command.upgrade, "head"), (command.downgrade, "base"), (command.upgrade, "head")):
        engine = create_engine(url, connect_args=host, poolclass=NullPool)
        with engine.connect() as connection:
            move(project.config(connection), to)


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_the_applications_driver_may_be_another(
    driver: str, bare: str, database: psycopg.Connection, tmp_path: Path
) -> None:
    _move(driver, bare, chain(tmp_path, bare))
    assert pending(Settings(bare, "pgqueue")) == (head(), head())
    assert own(database) == ["after", "before", "beside"]


async def test_the_applications_driver_may_be_asyncpg(bare: str, database: psycopg.Connection, tmp_path: Path) -> None:
    project = chain(tmp_path, bare)
    engine = create_async_engine(bare.replace("postgresql://", "postgresql+asyncpg://"), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: command.upgrade(project.config(sync), "head"))
        await connection.run_sync(lambda sync: command.downgrade(project.config(sync), "b"))
        await connection.commit()
    assert pending(Settings(bare, "pgqueue"))[0] == "0001"
    assert own(database) == ["before", "beside"]


def test_the_sql_text_holds_ours(bare: str, database: psycopg.Connection, tmp_path: Path) -> None:
    settings = Settings(bare, "pgqueue")
    project = chain(tmp_path, bare, since=True)
    before = everything(database)
    database.execute(project.written("head").encode())
    by_text = objects(database, "pgqueue")
    assert pending(settings) == (head(), head())
    assert own(database) == ["after", "before", "beside"]
    database.execute(project.written("c:a", down=True).encode())
    assert own(database) == ["before"]
    assert pending(settings)[0] == "base"
    migrate(settings)
    assert by_text == objects(database, "pgqueue")
    assert before <= everything(database)


def test_what_cannot_work_is_refused_in_a_sentence(bare: str, database: psycopg.Connection, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="elsewhere call pgq"):
        upgrade("0001")
    with pytest.raises(ConfigurationError, match="nobody can look at which revision"):
        chain(tmp_path / "text", bare).written("head")
    elsewhere = Project(tmp_path / "sqlite", bare)
    elsewhere.add("a", "pgqueue_upgrade('0001')")
    with create_engine("sqlite://").connect() as sqlite, pytest.raises(ConfigurationError, match="needs PostgreSQL"):
        command.upgrade(elsewhere.config(sqlite), "head")
    unknown = Project(tmp_path / "unknown", bare)
    unknown.add("a", "pgqueue_upgrade('9999')")
    with pytest.raises(ConfigurationError, match="'9999'"):
        unknown.upgrade()
    above = Project(tmp_path / "above", bare)
    above.add("a", "pgqueue_downgrade('0001')")
    with pytest.raises(ConfigurationError, match="'0001'"):
        above.upgrade()
    assert database.execute("select to_regnamespace('pgqueue')").fetchone() == (None,)
