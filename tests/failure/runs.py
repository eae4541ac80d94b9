"""Contexts of jobs that no worker runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pgqueue import JobContext


def context_of(number: int, task: str) -> JobContext[Any]:
    """Return the context of a job, for what asks only who it is."""
    run: Any = SimpleNamespace(job=SimpleNamespace(id=number, task=task))
    return JobContext(run)
