"""For Django projects: the DSN from DATABASES, and our tables in a project's own migrations.

The connection itself is a handle: ``task.using(django.db.connection).enqueue(...)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.migrations import RunPython

from pgqueue.app import PgQueue
from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.settings import dsn_from


def database(alias: str = "default") -> Callable[[], str]:
    """Return a function that gives the DSN of one of DATABASES, for ``PgQueue(database("default"))``.

    It is asked at first use, so that in a test it gives the test's database.

    Raises:
        ConfigurationError: When asked, the database is not on PostgreSQL.
    """

    def dsn() -> str:
        connection = connections[alias]
        if connection.vendor != "postgresql":
            raise ConfigurationError(
                f"The database {alias!r} of DATABASES is on {connection.vendor}, not on PostgreSQL.",
                "Name the alias of one that is.",
            )
        return dsn_from(connection.get_connection_params())

    return dsn


class MigratePgqueue(RunPython):  # type: ignore[misc]  # Django has no types
    """A migration's operation that does what ``pgqueue migrate`` does, in the database that is being migrated.

    It works on a connection of its own, so the migration needs ``atomic = False``. On the way back it leaves the jobs alone.

    Args:
        schema: None: PGQUEUE_SCHEMA, or "pgqueue".
    """

    def __init__(self, schema: str | None = None) -> None:
        self.schema = schema
        super().__init__(self._migrate, RunPython.noop)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return how the operation is written again, for squashmigrations."""
        return type(self).__name__, [], {} if self.schema is None else {"schema": self.schema}

    def _migrate(self, _apps: Any, editor: Any) -> None:
        PgQueue(database(editor.connection.alias), schema=self.schema).migrate()
