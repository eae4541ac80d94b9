"""LISTEN on a connection of its own: psycopg's notifies() holds its connection, so nothing else may share it.

Behind a pooler that lends a server for a transaction nothing can be heard: it goes around the pooler where it is told the
way, and is silent otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import psycopg
from anyio import to_thread
from psycopg import sql

from pgqueue.backend import Notice
from pgqueue.postgres.connections import UNPINNED, Link, Settings, check_way_around
from pgqueue.postgres.explain import explain

PROBE_EVERY = 20.0
_KINDS: dict[str, Literal["ready", "due", "paused", "cancel"]] = {
    "ready": "ready",
    "due": "due",
    "paused": "paused",
    "cancel": "cancel",
}


async def notices(settings: Settings) -> AsyncIterator[Notice]:
    """Yield "connected" once it listens, then what is notified; nothing where nothing can be heard.

    Raises:
        BackendUnavailable: The connection cannot be made, or broke.
        ConfigurationError: The way around a pooler leads elsewhere.
    """
    if settings.only_polls:
        await asyncio.Event().wait()
    link = Link(settings.around, "listen", UNPINNED)
    try:
        connection = await link.connection()
        if settings.around is not settings:
            await to_thread.run_sync(check_way_around, settings, abandon_on_cancel=True)
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
