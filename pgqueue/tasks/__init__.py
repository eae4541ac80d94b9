"""Declared functions: the registry, the context of a running job, and the typed handles to enqueue through."""

from __future__ import annotations

from pgqueue.tasks.context import CURRENT, JobContext, current
from pgqueue.tasks.handles import (
    NO_HANDLE,
    AsyncHandle,
    AsyncQueue,
    AsyncTask,
    D,
    Declare,
    DeclareWithContext,
    HandledQueue,
    P,
    Producer,
    SyncHandle,
    SyncQueue,
    SyncTask,
    Task,
)
from pgqueue.tasks.registry import Declaration, Executor, Registry, declare, need_tasks

__all__ = [
    "CURRENT",
    "NO_HANDLE",
    "AsyncHandle",
    "AsyncQueue",
    "AsyncTask",
    "D",
    "Declaration",
    "Declare",
    "DeclareWithContext",
    "Executor",
    "HandledQueue",
    "JobContext",
    "P",
    "Producer",
    "Registry",
    "SyncHandle",
    "SyncQueue",
    "SyncTask",
    "Task",
    "current",
    "declare",
    "need_tasks",
]
