"""Where enqueue ends: on the caller's connection, or on one of our pools."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from anyio import to_thread
from psycopg_pool import PoolTimeout

from pgqueue.backend import Ending, Question
from pgqueue.model.codecs import Codec
from pgqueue.model.job import JobSpec
from pgqueue.model.plans import acarry_out, carry_out
from pgqueue.postgres.callers import async_carrier, sync_carrier
from pgqueue.postgres.carriers import AsyncPsycopgCarrier, PsycopgCarrier
from pgqueue.postgres.chunks import atake, take
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import explain
from pgqueue.postgres.pools import Pools
from pgqueue.postgres.questions import answer, completion
from pgqueue.postgres.steps import AsyncCarrier, Carrier, Step, Take
from pgqueue.postgres.writing import Writer
from pgqueue.tasks import Handle, Receive, Stored


class PostgresProducer:
    """Writes jobs. See ``backend.ProducerBackend``.

    Args:
        schema: Where the jobs are.
        settings: Asked when a pool is opened: a caller with a connection of its own needs no DSN.
        codec: What arguments are stored by; None: as JSON.
    """

    def __init__(self, schema: str, settings: Callable[[], Settings], codec: Codec | None = None) -> None:
        self._schema = schema
        self._pools = Pools(settings)
        self._writer = Writer(schema, codec)

    def enqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job in the handle's transaction, or in one of our own."""
        with self._carrier(handle) as carrier:
            return carry_out(self._writer.one(carrier.traits, spec), carrier.do)

    async def aenqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job in the handle's transaction, or in one of our own."""
        async with self._acarrier(handle) as carrier:
            return await acarry_out(self._writer.one(carrier.traits, spec), carrier.do)

    def enqueue_many(self, handle: Handle | None, jobs: Iterable[JobSpec[Any]], receive: Receive) -> None:
        """Write jobs, all or none."""
        stream = iter(jobs)
        with self._carrier(handle) as carrier:

            def do(step: Step) -> Any:
                return take(stream) if isinstance(step, Take) else carrier.do(step)

            carry_out(self._writer.all(carrier.traits, receive), do)

    async def aenqueue_many(
        self, handle: Handle | None, jobs: Iterable[JobSpec[Any]] | AsyncIterable[JobSpec[Any]], receive: Receive
    ) -> None:
        """Write jobs, all or none."""
        stream = aiter(jobs) if isinstance(jobs, AsyncIterable) else iter(jobs)
        async with self._acarrier(handle) as carrier:

            async def do(step: Step) -> Any:
                if not isinstance(step, Take):
                    return await carrier.do(step)
                return await atake(stream)

            await acarry_out(self._writer.all(carrier.traits, receive), do)

    def complete(self, handle: Handle, ending: Ending) -> bool:
        """End a job in its handler's own transaction."""
        with self._carrier(handle) as carrier:
            return carry_out(completion(ending), carrier.do)

    async def acomplete(self, handle: Handle, ending: Ending) -> bool:
        """End a job in its handler's own transaction."""
        async with self._acarrier(handle) as carrier:
            return await acarry_out(completion(ending), carrier.do)

    def ask(self, question: Question) -> Any:
        """Answer a question, on a connection of our own: what it asks about has to be committed."""
        with self._carrier(None) as carrier:
            return carry_out(answer(question), carrier.do)

    async def aask(self, question: Question) -> Any:
        """Answer a question, on a connection of our own."""
        async with self._acarrier(None) as carrier:
            return await acarry_out(answer(question), carrier.do)

    @contextmanager
    def _carrier(self, handle: Handle | None) -> Iterator[Carrier]:
        """Lend the caller's connection, or one of our pool."""
        if handle is not None:
            yield sync_carrier(handle, self._schema)
            return
        try:
            with self._pools.sync().connection() as connection:
                yield PsycopgCarrier(connection, self._schema)
        except PoolTimeout as error:
            raise self._pools.cause() from error
        except psycopg.OperationalError as error:
            raise explain(error, self._schema, broken=True) or error from error

    @asynccontextmanager
    async def _acarrier(self, handle: Handle | None) -> AsyncIterator[AsyncCarrier]:
        """Lend the caller's connection, or one of the event loop's pool."""
        if handle is not None:
            yield await async_carrier(handle, self._schema)
            return
        try:
            async with (await self._pools.loop()).connection() as connection:
                yield AsyncPsycopgCarrier(connection, self._schema)
        except PoolTimeout as error:
            raise await to_thread.run_sync(self._pools.cause) from error
        except psycopg.OperationalError as error:
            raise explain(error, self._schema, broken=True) or error from error

    def close(self) -> None:
        """Close the process's pool."""
        self._pools.close()

    async def aclose(self) -> None:
        """Close the event loop's pool."""
        await self._pools.aclose()
