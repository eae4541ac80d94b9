"""A clock that pauses move, and a backend whose jobs end when it says so; both ways to ask a question."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from pgqueue import Job
from pgqueue.backend import AskEnds, AskStates, Ended, Question
from pgqueue.inspect import results
from pgqueue.inspect.results import Results
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry

Way = Literal["blocking", "awaiting"]
WAYS: tuple[Way, ...] = ("blocking", "awaiting")
_TWINS = {"status": "astatus", "wait": "await_", "gather": "agather", "cancel": "acancel", "result": "aresult"}


class Clockwork:
    """The time, and jobs that end at set times.

    Args:
        ends: When each job ends, in seconds.
        before: What is answered until then.

    Attributes:
        looks: When was asked for states, and of which jobs.
        ended: How a job ended, None: it is not found any more.
    """

    def __init__(self, ends: Mapping[str, float], before: str = "ready") -> None:
        self.now = 0.0
        self.looks: list[tuple[float, list[str]]] = []
        self.ended: dict[str, Ended | None] = {}
        self._ends = ends
        self._before = before

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        assert seconds > 0
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.sleep(seconds)

    def ask(self, question: Question) -> Any:
        """Answer by the clock."""
        if isinstance(question, AskStates):
            self.looks.append((self.now, list(question.ids)))
            return {one: "succeeded" if self.now >= self._ends[one] else self._before for one in question.ids}
        assert isinstance(question, AskEnds)
        answers = {one: self.ended.get(one, succeeded(one)) for one in question.ids}
        return {one: end for one, end in answers.items() if end is not None}

    async def aask(self, question: Question) -> Any:
        """Answer by the clock."""
        return self.ask(question)


def succeeded(value: object) -> Ended:
    """Return how a job ended that returned a value."""
    return Ended("succeeded", "note", value, None, None, None)


def results_on(backend: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Return what answers jobs, with pauses that move the clock."""
    monkeypatch.setattr(results, "time", SimpleNamespace(sleep=clock.sleep))
    monkeypatch.setattr(results, "anyio", SimpleNamespace(sleep=clock.asleep))
    return Results(backend, Registry(), Payloads(None, ()), clock)


def jobs_of(answers: Results, *ids: str) -> list[Job[Any]]:
    """Return jobs with these ids."""
    jobs: list[Job[Any]] = [Job(one, "note", "default") for one in ids]
    return [job.asking(answers) for job in jobs]


async def asked(way: Way, of: Any, name: str, *arguments: Any, **named: Any) -> Any:
    """Call a method, or its twin."""
    if way == "blocking":
        return getattr(of, name)(*arguments, **named)
    answer: Awaitable[Any] = getattr(of, _TWINS[name])(*arguments, **named)
    return await answer
