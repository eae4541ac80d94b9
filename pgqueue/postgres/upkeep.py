"""Vacuum of the lanes. Autovacuum looks once a minute, which is long here: at 3,000 jobs/s the lanes grow to 21 MB
instead of 4. One worker does it, whoever gets the advisory lock; a round takes about ten milliseconds.

A pooler that lends a server for a transaction would keep such a lock in the lent one. Behind it a worker looks when the
last vacuum was, and two at it skip each other's tables.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from pgqueue.postgres.connections import UNPINNED, Link, Settings
from pgqueue.postgres.explain import explain
from pgqueue.postgres.statements import statement

_TABLES = ("ready", "scheduled", "lease", "job", "worker", "worker_idle")


async def tidy(settings: Settings) -> None:
    """Vacuum the lanes, unless another worker is at it. Without ownership PostgreSQL skips the tables.

    Raises:
        BackendUnavailable: The connection cannot be made, or broke.
    """
    link = Link(settings, "vacuum", UNPINNED)
    try:
        connection = await link.connection()
        free = "upkeep/take_vacuum" if settings.has_session else "upkeep/last_vacuum"
        cursor = await connection.execute(statement(free, settings.schema), {"schema": settings.schema})
        row = await cursor.fetchone()
        if row is not None and row[0]:
            names = sql.SQL(", ").join(sql.Identifier(settings.schema, table) for table in _TABLES)
            await connection.execute(sql.SQL("vacuum (truncate off, skip_locked) {}").format(names))
    except psycopg.Error as error:
        raise explain(error, settings.schema, broken=True) or error from error
    finally:
        await link.close()
