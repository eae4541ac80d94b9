"""Which producer and which transaction an application enqueues with when a call names none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pgqueue.backend import Ending, ProducerBackend, Question
from pgqueue.model.errors import HandleError
from pgqueue.model.job import JobSpec
from pgqueue.tasks import Handle, JobResults, Receive, Stored
from pgqueue.worker.addresses import check_not_importing


@dataclass(slots=True)
class _Bound:
    """A handle, and the thread and asyncio task that bound it: their numbers are unique until the block has ended."""

    handle: Handle
    owner: tuple[int, int]
    ended: bool = False


class Binding:
    """The ambient transaction of ``pgq.bind``."""

    def __init__(self) -> None:
        self._bound: ContextVar[_Bound | None] = ContextVar("pgqueue_bound", default=None)

    @contextmanager
    def bind(self, handle: Handle) -> Iterator[None]:
        """Make a handle the one of this thread and asyncio task."""
        before, bound = self._bound.get(), _Bound(handle, _here())
        self._bound.set(bound)
        try:
            yield
        finally:
            bound.ended = True
            self._bound.set(before)

    def handle(self) -> Handle | None:
        """Return the bound handle, None when there is none.

        Raises:
            HandleError: It was bound by another thread or asyncio task, whose context this one inherited, or its block
                has ended.
        """
        bound = self._bound.get()
        if bound is None:
            return None
        if bound.ended or bound.owner != _here():
            raise HandleError(
                "The transaction was bound in another thread or asyncio task, and two must not share a connection.",
                "Pass a handle with using(), or call pgq.bind() here with a connection of this one's own.",
            )
        return bound.handle


class LazyProducer:
    """Opens the producer when it is needed, so that tasks can be declared before anything is configured.

    Attributes:
        results: Answers what a job asks.
    """

    results: JobResults

    def __init__(self, open_producer: Callable[[], ProducerBackend], binding: Binding) -> None:
        self._open = open_producer
        self._binding = binding
        self._producer: ProducerBackend | None = None

    @property
    def _backend(self) -> ProducerBackend:
        check_not_importing()
        if self._producer is None:
            self._producer = self._open()
        return self._producer

    def enqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job."""
        return self._backend.enqueue(handle or self._binding.handle(), spec)

    async def aenqueue(self, handle: Handle | None, spec: JobSpec[Any]) -> Stored:
        """Write a job."""
        return await self._backend.aenqueue(handle or self._binding.handle(), spec)

    def enqueue_many(self, handle: Handle | None, jobs: Iterable[JobSpec[Any]], receive: Receive) -> None:
        """Write jobs."""
        self._backend.enqueue_many(handle or self._binding.handle(), jobs, receive)

    async def aenqueue_many(
        self, handle: Handle | None, jobs: Iterable[JobSpec[Any]] | AsyncIterable[JobSpec[Any]], receive: Receive
    ) -> None:
        """Write jobs."""
        await self._backend.aenqueue_many(handle or self._binding.handle(), jobs, receive)

    def complete(self, handle: Handle, ending: Ending) -> bool:
        """End a job in its handler's own transaction."""
        return self._backend.complete(handle, ending)

    async def acomplete(self, handle: Handle, ending: Ending) -> bool:
        """End a job in its handler's own transaction."""
        return await self._backend.acomplete(handle, ending)

    def ask(self, question: Question) -> Any:
        """Answer a question about a job."""
        return self._backend.ask(question)

    async def aask(self, question: Question) -> Any:
        """Answer a question about a job."""
        return await self._backend.aask(question)

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Resolve again, with pools of their own, for the length of a ``with`` block."""
        before, self._producer = self._producer, None
        try:
            yield
        finally:
            self.close()
            self._producer = before

    def close(self) -> None:
        """Close the process's pool."""
        if self._producer is not None:
            self._producer.close()

    async def aclose(self) -> None:
        """Close the event loop's pool."""
        if self._producer is not None:
            await self._producer.aclose()


def _here() -> tuple[int, int]:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        task = None
    return threading.get_ident(), id(task)
