"""Bulk enqueue: many jobs of any tasks, from an iterator of any length, all or none."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Literal, TypeAlias, overload

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidArguments
from pgqueue.model.job import JobSpec
from pgqueue.tasks.jobs import Job
from pgqueue.tasks.producing import Collector, Handle, Producer, Progress, Returning

AnyJobs: TypeAlias = Iterable[JobSpec[Any]] | AsyncIterable[JobSpec[Any]]


class BoundQueue:
    """The queue on a handle or on none."""

    def __init__(self, producer: Producer, handle: Handle | None = None) -> None:
        self._producer = producer
        self._handle = handle

    def _collector(
        self, jobs: object, kinds: tuple[type, ...], returning: Returning, progress: Progress | None
    ) -> Collector:
        if isinstance(jobs, AsyncIterable) and AsyncIterable not in kinds:
            raise InvalidArguments(
                "enqueue_many cannot wait for an asynchronous generator.", "Await aenqueue_many(...)."
            )
        if not isinstance(jobs, kinds):
            raise InvalidArguments(
                f"{short(jobs)} is not a list of jobs.", "Pass [task.job(...), ...] or a generator of them."
            )
        return Collector(returning, progress, self._producer.results)


class SyncQueue(BoundQueue):
    """Bulk enqueue on a synchronous handle."""

    @overload
    def enqueue_many(
        self, jobs: Iterable[JobSpec[Any]], /, *, returning: Literal["jobs"] = ..., progress: Progress | None = ...
    ) -> list[Job[Any]]: ...
    @overload
    def enqueue_many(
        self, jobs: Iterable[JobSpec[Any]], /, *, returning: Literal["ids"], progress: Progress | None = ...
    ) -> list[str]: ...
    @overload
    def enqueue_many(
        self, jobs: Iterable[JobSpec[Any]], /, *, returning: Literal["count"], progress: Progress | None = ...
    ) -> int: ...
    def enqueue_many(
        self, jobs: Iterable[JobSpec[Any]], /, *, returning: Returning = "jobs", progress: Progress | None = None
    ) -> Any:
        """Enqueue jobs of any tasks, all or none, in the handle's transaction or in one of its own.

        Args:
            jobs: Made by ``task.job(...)``; a generator of any length is read in chunks.
            returning: "jobs" or their "ids" in order, or "count": how many were created, in constant memory.
            progress: Called after each chunk with the number of jobs so far.

        Raises:
            InvalidArguments: An element was not made by ``task.job(...)``.
            JobExists: A key is held by another job, and ``on_conflict="raise"``.
            HandleError, SchemaError, BackendUnavailable: As for ``enqueue``.
        """
        collector = self._collector(jobs, (Iterable,), returning, progress)
        self._producer.enqueue_many(self._handle, jobs, collector)
        return collector.answer


class AsyncQueue(BoundQueue):
    """Bulk enqueue on an asynchronous handle."""

    @overload
    async def aenqueue_many(
        self, jobs: AnyJobs, /, *, returning: Literal["jobs"] = ..., progress: Progress | None = ...
    ) -> list[Job[Any]]: ...
    @overload
    async def aenqueue_many(
        self, jobs: AnyJobs, /, *, returning: Literal["ids"], progress: Progress | None = ...
    ) -> list[str]: ...
    @overload
    async def aenqueue_many(
        self, jobs: AnyJobs, /, *, returning: Literal["count"], progress: Progress | None = ...
    ) -> int: ...
    async def aenqueue_many(
        self, jobs: AnyJobs, /, *, returning: Returning = "jobs", progress: Progress | None = None
    ) -> Any:
        """Enqueue as ``enqueue_many`` does, without blocking the event loop; also from an asynchronous generator."""
        collector = self._collector(jobs, (Iterable, AsyncIterable), returning, progress)
        await self._producer.aenqueue_many(self._handle, jobs, collector)
        return collector.answer


class HandledQueue(SyncQueue, AsyncQueue):
    """Bulk enqueue on a handle whose kind is known at run time."""
