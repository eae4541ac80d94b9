"""History partitions: created ahead, retired without ever stalling a finisher.

A plain DROP behind an auditor's open report would stall every finisher, so a partition is first detached CONCURRENTLY.
That waits for the report; after ten seconds it is left pending and finished in a later round.
"""

from __future__ import annotations

import psycopg
from psycopg import errors, sql

from pgqueue.postgres.connections import Link, Settings
from pgqueue.postgres.statements import statement

DAYS_AHEAD = 14


async def keep_history(link: Link, settings: Settings, days: int) -> None:
    """Create the partitions of the next days and retire those that are wholly older than ``days``."""
    await link.run("upkeep/make_partitions", {"days": DAYS_AHEAD})
    await link.run("upkeep/forget_workers", {"days": days})
    await link.run("upkeep/forget_checkpoints", {"days": days})
    connection = await link.connection()
    if settings.has_session:
        await connection.execute("set statement_timeout = '10s'")
    cursor = await connection.execute(
        statement("upkeep/old_partitions", settings.schema), {"schema": settings.schema, "days": days}
    )
    for parent, partition, pending, attached in await cursor.fetchall():
        if not settings.has_session:  # a wait without a limit is none that we may begin
            gone = await _retire_as_guest(connection, settings.schema, partition)
        else:
            gone = await _retire(connection, settings.schema, (parent, partition), pending=pending, attached=attached)
        if not gone:
            return


async def _retire(
    connection: psycopg.AsyncConnection, schema: str, names: tuple[str, str], *, pending: bool, attached: bool
) -> bool:
    """Detach and drop one partition; say whether it is gone. Someone else at it, or a reader, is no error."""
    parent, partition = names[0], sql.Identifier(schema, names[1])
    how = sql.SQL("finalize" if pending else "concurrently")
    try:
        if attached:
            detach = sql.SQL("alter table {} detach partition {} {}")
            await connection.execute(detach.format(sql.Identifier(schema, parent), partition, how))
        await connection.execute(sql.SQL("drop table if exists {}").format(partition))
    except errors.InsufficientPrivilege:  # a worker that is not the owner: only that may detach CONCURRENTLY
        return await _retire_as_guest(connection, schema, names[1])
    except (
        errors.QueryCanceled,
        errors.LockNotAvailable,
        errors.ObjectNotInPrerequisiteState,
        errors.UndefinedTable,
    ):
        return False
    return True


async def _retire_as_guest(connection: psycopg.AsyncConnection, schema: str, partition: str) -> bool:
    try:
        await connection.execute(statement("upkeep/retire_partition", schema), {"partition": partition})
    except (errors.LockNotAvailable, errors.UndefinedTable):
        return False
    return True
