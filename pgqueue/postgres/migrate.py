"""Migrations by Alembic, for one schema at a time. The revisions are frozen SQL in alembic/versions."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import explain, unreachable
from pgqueue.postgres.pooler import connect
from pgqueue.postgres.statements import quoted

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

VERSION_TABLE = "migration"
_CREATED = re.compile(r"^create (?:unlogged )?table \{schema\}\.(\w+)", re.MULTILINE)


def migrate(settings: Settings, revision: str = "head") -> tuple[str, str]:
    """Bring the schema to a revision; safe to call from many processes at once.

    Args:
        revision: "head", "base" (drops everything pgqueue made), or a revision's id.

    Returns:
        The revisions before and after; "base" is none.

    Raises:
        BackendUnavailable: The database cannot be reached.
        ConfigurationError: No such revision, or the database role may not do it.
    """
    from alembic import command

    with _connected(settings) as connection:
        _prepare(connection, settings.schema)
        before = _current(connection, settings.schema)
        config = _config(settings.schema)
        config.attributes["connection"] = connection
        with _told(revision):
            (command.downgrade if _is_below(revision, before) else command.upgrade)(config, revision)
        after = _current(connection, settings.schema)
        connection.commit()
    return before, after


def pending(settings: Settings) -> tuple[str, str]:
    """Return the schema's revision and the newest one; they differ when a migration is due."""
    with _connected(settings) as connection:
        return _current(connection, settings.schema), head()


def as_sql(schema: str) -> str:
    """Return the SQL that brings an empty database to the newest revision."""
    from alembic import command

    output = io.StringIO()
    config = _config(schema)
    config.output_buffer = output
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def migrate_within(outer: MigrationContext, schema: str, revision: str, *, down: bool, since: str | None) -> None:
    """Bring the schema to a revision inside a migration of somebody else: on its connection, in its transaction.

    Alembic's ``op`` stays that of the outer migration, and our revisions run through it; only the record of versions is
    ours. A second environment, as Alembic's commands make one, would take ``op`` away from what comes after.

    Args:
        down: Whether the revision is below the present one; the other direction changes nothing.
        since: The present revision, for a migration that is only written out.

    Raises:
        ConfigurationError: No such revision.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    assert outer.config is not None
    script = ScriptDirectory.from_config(_config(schema))
    steps = script._downgrade_revs if down else script._upgrade_revs
    options: dict[str, Any] = {"fn": lambda present, _: steps(revision, present), **_record(schema)}
    if outer.as_sql:
        options |= {"as_sql": True, "output_buffer": outer.output_buffer, "starting_rev": since}
        outer.impl.static_output(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)};")
    else:
        assert outer.connection is not None
        _prepare(outer.connection, schema)
    connection = None if outer.as_sql else outer.connection
    inner = MigrationContext.configure(connection, dialect=outer.dialect, opts=options)
    with _told(revision), _lent(outer.config.attributes, "quoted", quoted(schema)):
        inner.run_migrations()


def tables() -> frozenset[str]:
    """Return the names of all tables that the revisions create, partitions left out, and of the record of versions."""
    files = (_folder() / "versions").rglob("*.sql")
    return frozenset(name for file in files for name in _CREATED.findall(file.read_text("utf-8"))) | {VERSION_TABLE}


def head() -> str:
    """Return the newest revision."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_config("pgqueue")).get_current_head())


def _is_below(revision: str, current: str) -> bool:
    return revision == "base" or (revision != "head" and current != "base" and revision < current)


def _folder() -> Path:
    """Return the revisions: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"


def _config(schema: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes.update(schema=schema, quoted=quoted(schema))
    return config


def _current(connection: Connection, schema: str) -> str:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts=_record(schema)).get_current_revision() or "base"


def _record(schema: str) -> dict[str, str]:
    """Return Alembic's options that say where the schema's revision is written down."""
    return {"version_table": VERSION_TABLE, "version_table_schema": schema}


def _prepare(connection: Connection, schema: str) -> None:
    """Wait for whoever migrates the same schema, and create it if there is none."""
    from sqlalchemy import text

    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"{schema}.migrate"},
    )
    if connection.scalar(text("select to_regnamespace(:name)"), {"name": quoted(schema)}) is None:
        # not "if not exists": that needs the right to create one also where it exists, and its owner may lack it
        connection.execute(text(f"create schema {quoted(schema)}"))


@contextmanager
def _told(revision: str) -> Iterator[None]:
    """Say in our words that Alembic does not know a revision, or cannot go there."""
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        raise ConfigurationError(f"Revision {revision!r}: {error}.", "Use head, base, or a revision's id.") from None


@contextmanager
def _lent(attributes: dict[Any, Any], name: str, value: str) -> Iterator[None]:
    """Set an attribute for a while."""
    before = dict(attributes)
    attributes[name] = value
    try:
        yield
    finally:
        attributes.clear()
        attributes.update(before)


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    import psycopg
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    try:
        raw = connect({**settings.parameters("migrate", {}), "autocommit": False})
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        told = (
            explain(error.orig, settings.schema, broken=raw.broken) if isinstance(error.orig, psycopg.Error) else None
        )
        raise told or error from error
    finally:
        engine.dispose()
        raw.close()
