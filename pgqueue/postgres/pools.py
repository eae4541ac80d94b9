"""Pools for producers that pass no handle. A pool belongs to one process, an asynchronous one also to one event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgqueue.model.errors import BackendUnavailable
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.explain import unreachable
from pgqueue.postgres.pooler import AsyncTolerant, Tolerant, connect

MAX_SIZE = 8
PATIENCE = 10.0  # seconds for a connection

SyncPool = ConnectionPool[Tolerant]
AsyncPool = AsyncConnectionPool[AsyncTolerant]


class Pools:
    """Opens each pool at its first use and forgets those of a parent process."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._sync: SyncPool | None = None
        self._async: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncPool] = WeakKeyDictionary()

    def _parameters(self) -> dict[str, Any]:
        return self._settings().parameters("producer", UNPINNED)

    def _options(self) -> dict[str, Any]:
        parameters = {**self._parameters(), "prepare_threshold": None}  # as behind every pooler
        return {"kwargs": parameters, "min_size": 0, "max_size": MAX_SIZE, "timeout": PATIENCE}

    def sync(self) -> SyncPool:
        """Return the process's pool."""
        with self._lock:
            if self._pid != os.getpid():
                self._forget()
            if self._sync is None:
                self._sync = ConnectionPool(
                    **self._options(), connection_class=Tolerant, open=True, check=ConnectionPool.check_connection
                )
            return self._sync

    async def loop(self) -> AsyncPool:
        """Return the event loop's pool."""
        running = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                self._forget()
            pool = self._async.get(running)
            if pool is None:
                pool = self._async[running] = AsyncConnectionPool(
                    **self._options(),
                    connection_class=AsyncTolerant,
                    open=False,
                    check=AsyncConnectionPool.check_connection,
                )
        await pool.open()
        return pool

    def cause(self) -> BackendUnavailable:
        """Say why the pool gave no connection: the database's own words, or that all are in use."""
        try:
            connect({**self._parameters(), "connect_timeout": 2}).close()
        except psycopg.OperationalError as error:
            return unreachable(error)
        return BackendUnavailable(
            f"All {MAX_SIZE} connections of the pool were in use for {PATIENCE:g} s.",
            "Enqueue on a connection of your own with using(connection), or from fewer threads.",
        )

    def close(self) -> None:
        """Close the process's pool."""
        with self._lock:
            pool, self._sync = self._sync, None
        if pool is not None and self._pid == os.getpid():
            pool.close()

    async def aclose(self) -> None:
        """Close the event loop's pool."""
        with self._lock:
            pool = self._async.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
