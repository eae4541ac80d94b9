"""Declared functions: the registry, the context of a running job, and the typed handles to enqueue through."""

from __future__ import annotations

from pgqueue.tasks.completing import Completer, Ending
from pgqueue.tasks.context import CURRENT, JobContext, Place, Run, current
from pgqueue.tasks.handles import (
    NO_HANDLE,
    AsyncHandle,
    AsyncTask,
    D,
    Declare,
    DeclareWithContext,
    P,
    SyncHandle,
    SyncTask,
    Task,
)
from pgqueue.tasks.jobs import Job, JobResults, Origin
from pgqueue.tasks.producing import Handle, JobWriter, Producer, Receive, Stored, Written, check_jobs
from pgqueue.tasks.queues import AsyncQueue, HandledQueue, SyncQueue
from pgqueue.tasks.registry import Declaration, Executor, Hooks, Registry, declare, need_tasks

__all__ = [
    "CURRENT",
    "NO_HANDLE",
    "AsyncHandle",
    "AsyncQueue",
    "AsyncTask",
    "Completer",
    "D",
    "Declaration",
    "Declare",
    "DeclareWithContext",
    "Ending",
    "Executor",
    "Handle",
    "HandledQueue",
    "Hooks",
    "Job",
    "JobContext",
    "JobResults",
    "JobWriter",
    "Origin",
    "P",
    "Place",
    "Producer",
    "Receive",
    "Registry",
    "Run",
    "Stored",
    "SyncHandle",
    "SyncQueue",
    "SyncTask",
    "Task",
    "Written",
    "check_jobs",
    "current",
    "declare",
    "need_tasks",
]
