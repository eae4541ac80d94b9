"""``pgqueue.metadata`` is what the database has, and costs nothing until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest
from sqlalchemy import MetaData, NullPool, Table, create_engine, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

import pgqueue
from pgqueue.contrib.sqlalchemy import all_attempts, all_jobs, queue_stats, views
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate


def engine_of(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://")


def columns(table: Table) -> list[tuple[str, str, type[TypeEngine[object]]]]:
    """Return name, type as SQL and type as SQLAlchemy has it, in their order."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return [(column.name, column.type.compile(dialect), column.type.as_generic().__class__) for column in table.columns]


@pytest.mark.parametrize("schema", ["pgqueue", "order"])
def test_the_metadata_is_what_the_migrated_database_has(dsn: str, schema: str) -> None:
    migrate(Settings(dsn, schema))
    engine = create_engine(engine_of(dsn), poolclass=NullPool)
    _, *ours = views(schema)
    for table in ours:
        reflected = Table(table.name, MetaData(), schema=schema, autoload_with=engine)
        assert columns(table) == columns(reflected), table.name


def test_the_views_can_be_asked_in_core(dsn: str, database: psycopg.Connection) -> None:
    database.execute(
        "select pgqueue.enqueue('a', queue => 'q'), pgqueue.enqueue('b', delay => '1 h', tags => array['x'])"
    )
    by_state = select(all_jobs.c.state, func.count()).group_by(all_jobs.c.state).order_by(all_jobs.c.state)
    tagged = select(all_jobs.c.task, all_jobs.c.timeout).where(all_jobs.c.tags.contains(["x"]))
    with create_engine(engine_of(dsn), poolclass=NullPool).connect() as connection:
        assert connection.execute(by_state).all() == [("ready", 1), ("scheduled", 1)]
        ((task, timeout),) = connection.execute(tagged).all()
        assert (task, timeout.total_seconds()) == ("b", 1800)
        assert connection.scalars(select(queue_stats.c.queue).where(queue_stats.c.ready > 0)).all() == ["q"]
        assert connection.execute(select(all_attempts)).all() == []


def test_the_metadata_holds_the_views_of_the_default_schema() -> None:
    assert set(pgqueue.metadata.tables) == {"pgqueue.all_jobs", "pgqueue.all_attempts", "pgqueue.queue_stats"}
    assert pgqueue.metadata is all_jobs.metadata
    with pytest.raises(AttributeError, match="no attribute 'metadate'"):
        pgqueue.metadate  # type: ignore[attr-defined]  # noqa: B018 - reading it is what is tested
    with pytest.raises(pgqueue.ConfigurationError, match="plain lower-case identifier"):
        views("Jobs")


def test_importing_pgqueue_imports_neither_sqlalchemy_nor_alembic() -> None:
    program = (
        "import sys, pgqueue; heavy = {'sqlalchemy', 'alembic'}; assert not heavy & set(sys.modules); "
        "pgqueue.metadata; assert heavy & set(sys.modules) == {'sqlalchemy'}"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
