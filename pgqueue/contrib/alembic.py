"""For the application's own Alembic: it leaves pgqueue's tables alone, and may run pgqueue's migrations in its chain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypedDict

from alembic import context, op

from pgqueue.contrib.sqlalchemy import Views
from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.migrate import migrate_within, tables
from pgqueue.postgres.settings import resolve_schema

if TYPE_CHECKING:
    from alembic.runtime.environment import (
        IncludeNameFn,
        IncludeObjectFn,
        NameFilterParentNames,
        NameFilterType,
    )
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.schema import SchemaItem

__all__ = ["Hooks", "downgrade", "upgrade", "without_pgqueue"]

_DAY = re.compile(r"_\d{8}$")
_VIEWS = frozenset(Views._fields) - {"metadata"}
_NO_ENVIRONMENT = (NameError, AttributeError)  # what op and context raise before the first environment, and after one


class Hooks(TypedDict):
    """Two options of Alembic's ``context.configure``."""

    include_name: IncludeNameFn
    include_object: IncludeObjectFn


def without_pgqueue(
    *,
    schema: str | None = None,
    include_name: IncludeNameFn | None = None,
    include_object: IncludeObjectFn | None = None,
) -> Hooks:
    """Return the hooks that keep pgqueue's tables out of autogenerate: ``context.configure(..., **without_pgqueue())``.

    Tables of the application in the same schema are compared as ever.

    Args:
        schema: Name of pgqueue's schema. None: PGQUEUE_SCHEMA, or "pgqueue".
        include_name: The application's own hook, asked about everything else.
        include_object: The same.

    Raises:
        ConfigurationError: The schema's name is not a plain one.
    """
    ours = resolve_schema(schema)
    names = tables() | _VIEWS

    def is_ours(name: str | None, kind: NameFilterType, where: str | None) -> bool:
        return kind == "table" and _DAY.sub("", name or "") in names and (where or _default_schema()) == ours

    def name_hook(name: str | None, kind: NameFilterType, parents: NameFilterParentNames) -> bool:
        if is_ours(name, kind, parents.get("schema_name")):
            return False
        return include_name is None or include_name(name, kind, parents)

    def object_hook(
        item: SchemaItem, name: str | None, kind: NameFilterType, reflected: bool, other: SchemaItem | None
    ) -> bool:
        if is_ours(name, kind, getattr(item, "schema", None)):
            return False
        return include_object is None or include_object(item, name, kind, reflected, other)

    return {"include_name": name_hook, "include_object": object_hook}


def upgrade(revision: str, *, schema: str | None = None, since: str | None = None) -> None:
    """Bring pgqueue's schema up to a revision, inside the revision of the application that calls this.

    It runs on the application's connection and in its transaction. At or above the revision it changes nothing.

    Args:
        revision: A revision's id. "head" is allowed, but is another one after the next update of pgqueue.
        schema: Name of pgqueue's schema. None: PGQUEUE_SCHEMA, or "pgqueue".
        since: The revision before; needed, and looked at, only with ``--sql``.

    Raises:
        ConfigurationError: Not inside a migration, not on PostgreSQL, no such revision, or ``since`` is missing.
    """
    _move(revision, schema, since, down=False)


def downgrade(revision: str, *, schema: str | None = None, since: str | None = None) -> None:
    """Bring pgqueue's schema down to a revision, as ``upgrade`` brings it up. "base" drops everything, with all jobs."""
    _move(revision, schema, since, down=True)


def _move(revision: str, schema: str | None, since: str | None, *, down: bool) -> None:
    outer = _running()
    if outer.dialect.name != "postgresql":
        raise ConfigurationError(
            f"This migration runs on {outer.dialect.name}, and pgqueue needs PostgreSQL.",
            "Call it only when op.get_context().dialect.name is postgresql.",
        )
    if outer.as_sql and since is None:
        raise ConfigurationError(
            "With --sql nobody can look at which revision pgqueue's schema stands.",
            'Say it: upgrade("0001", since="base"), downgrade("base", since="0001").',
        )
    migrate_within(outer, resolve_schema(schema), revision, down=down, since=since)


def _running() -> MigrationContext:
    """Return the migration that is under way."""
    try:
        running = op.get_context()
    except _NO_ENVIRONMENT:
        running = None
    if running is None or running.config is None:
        raise ConfigurationError(
            "No Alembic environment is running a migration.",
            "Call this from a revision of your own; elsewhere call pgq.migrate().",
        )
    return running


def _default_schema() -> str | None:
    """Return the schema that Alembic writes as None: the first in the connection's search_path."""
    try:
        return context.get_context().dialect.default_schema_name
    except _NO_ENVIRONMENT:  # autogenerate is called as a library
        return "public"
