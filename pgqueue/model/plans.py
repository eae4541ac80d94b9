"""One logic for callers that block and for callers that await.

A plan is a generator that yields what it wants done and is sent the answer; who runs it decides how it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias, TypeVar

S = TypeVar("S")
A = TypeVar("A")

Plan: TypeAlias = Generator[S, Any, A]


def carry_out(plan: Plan[S, A], do: Callable[[S], Any]) -> A:
    """Run a plan; what a step raises is raised in the plan."""
    try:
        step = next(plan)
        while True:
            try:
                answer = do(step)
            except BaseException as error:  # noqa: BLE001 - the plan decides, and raises it again
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as end:
        done: A = end.value
        return done


async def acarry_out(plan: Plan[S, A], do: Callable[[S], Awaitable[Any]]) -> A:
    """Run a plan whose steps are awaited."""
    try:
        step = next(plan)
        while True:
            try:
                answer = await do(step)
            except BaseException as error:  # noqa: BLE001 - as above
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as end:
        done: A = end.value
        return done
