"""LISTEN on a connection of its own: psycopg's notifies() holds its connection, so nothing else may share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import psycopg
from psycopg import sql

from pgqueue.backend import Notice
from pgqueue.postgres.connections import UNPINNED, Link, Settings
from pgqueue.postgres.explain import explain

PROBE_EVERY = 20.0
_KINDS: dict[str, Literal["ready", "due", "cancel"]] = {"ready": "ready", "due": "due", "cancel": "cancel"}


async def notices(settings: Settings) -> AsyncIterator[Notice]:
    """Yield "connected" once it listens, then what is notified.

    Raises:
        BackendUnavailable: The connection cannot be made, or broke.
    """
    link = Link(settings, "listen", UNPINNED)
    try:
        connection = await link.connection()
        channel = await _channel(connection, settings.schema)
        await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        yield Notice("connected")
        while True:
            async for notify in connection.notifies(timeout=PROBE_EVERY):
                kind, _, queue = notify.payload.partition(":")
                if kind in _KINDS:  # a newer version may say more
                    yield Notice(_KINDS[kind], queue)
            await connection.execute("select 1")  # a dead peer is found even when nothing is notified
    except psycopg.Error as error:
        raise explain(error, settings.schema, broken=True) or error from error
    finally:
        await link.close()


async def _channel(connection: psycopg.AsyncConnection, schema: str) -> str:
    cursor = await connection.execute(sql.SQL("select {}.channel()").format(sql.Identifier(schema)))
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
