"""Migrations by Alembic, for one schema at a time. The revisions are frozen SQL in alembic/versions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import explain, unreachable
from pgqueue.postgres.statements import quoted

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection


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
    from alembic.util import CommandError
    from sqlalchemy import text

    with _connected(settings) as connection:
        connection.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"{settings.schema}.migrate"},
        )
        if connection.scalar(text("select to_regnamespace(:name)"), {"name": quoted(settings.schema)}) is None:
            # not "if not exists": that needs the right to create one also where it exists, and its owner may lack it
            connection.execute(text(f"create schema {quoted(settings.schema)}"))
        before = _current(connection, settings.schema)
        config = _config(settings.schema)
        config.attributes["connection"] = connection
        try:
            (command.downgrade if _is_below(revision, before) else command.upgrade)(config, revision)
        except CommandError as error:
            raise ConfigurationError(
                f"Revision {revision!r}: {error}.", "Use head, base, or a revision's id."
            ) from None
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
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(
        connection, opts={"version_table": "migration", "version_table_schema": schema}
    )
    return context.get_current_revision() or "base"


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    import psycopg
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    parameters = {**settings.parameters("migrate", {}), "autocommit": False}
    try:
        raw = psycopg.connect(**parameters)
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
