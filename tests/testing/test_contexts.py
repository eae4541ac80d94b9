"""A context for tests that call a handler themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import InvalidOption, InvalidPayload
from pgqueue.testing import job_context


async def test_it_notes_what_a_handler_says() -> None:
    context = job_context(resumed={"page": 3}, deps="deps")
    context.progress(0.5, "half")
    context.result(7)
    context.checkpoint([1])
    await context.acheckpoint([2])
    context.complete("connection", result=8)  # type: ignore[arg-type]
    await context.acomplete("another")  # type: ignore[arg-type]
    assert (context.resumed, context.deps) == ({"page": 3}, "deps")
    assert context.said.progress == [(0.5, "half")]
    assert (context.said.results, context.said.checkpoints) == ([7], [[1], [2]])
    assert context.said.completed == [("connection", 8), ("another", None)]


def test_it_has_the_facts_of_a_job() -> None:
    context = job_context(id=7, task="resize", queue="images", run=3, attempt=2, tags=["a"], headers={"b": "c"})
    assert (context.id, context.task, context.queue, context.run, context.attempt) == ("7", "resize", "images", 3, 2)
    assert (context.max_retries, context.tags, context.headers) == (25, ("a",), {"b": "c"})
    assert not context.cancelled
    assert context.deadline - datetime.now(UTC) > timedelta(minutes=29)
    assert context.logger.extra == {"fields": {"job": 7, "task": "resize", "queue": "images", "run": 3, "attempt": 2}}
    assert job_context(cancelled=True).cancelled


def test_it_refuses_what_a_worker_would_refuse() -> None:
    context = job_context()
    with pytest.raises(InvalidOption):
        context.progress(2.0)
    with pytest.raises(InvalidPayload):
        context.result(object())
    with pytest.raises(InvalidPayload):
        context.checkpoint(object())
