"""Policies and hooks that cannot work are refused where they are declared, with a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from pgqueue import Exponential, InvalidOption, PgQueue, RetryPolicy, TaskError


async def later(retried: int, error: BaseException) -> float:
    return 1.0


def stream(retried: int, error: BaseException) -> Iterator[float]:
    yield 1.0


def one(retried: int) -> float:
    return 1.0


POLICIES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"retry_on": OSError}, TaskError, "retry_on="),
    ({"retry_on": "OSError"}, TaskError, "retry_on='OSError'"),
    ({"retry_on": [OSError()]}, TaskError, "retry_on holds OSError()"),
    ({"retry_on": [int]}, TaskError, "no exception class"),
    ({"uncounted": OSError}, TaskError, "uncounted="),
    ({"uncounted": [None]}, TaskError, "uncounted holds None"),
    ({"delays": ["1s"], "backoff": Exponential("1s")}, TaskError, "delays and backoff both"),
    ({"delays": ["1s"], "delay": lambda n, e: 1}, TaskError, "delays and delay both"),
    ({"backoff": Exponential("1s"), "delay": lambda n, e: 1}, TaskError, "backoff and delay both"),
    ({"backoff": "1s"}, TaskError, "backoff='1s'"),
    ({"backoff": Exponential}, TaskError, "is not an Exponential"),
    ({"delay": "10s"}, TaskError, "delay='10s'"),
    ({"delay": 10}, TaskError, "not a function"),
    ({"delay": later}, TaskError, "no length of time"),
    ({"delay": stream}, TaskError, "no length of time"),
    ({"delay": one}, TaskError, "too many positional"),
    ({"delay": lambda n, e, more: 1}, TaskError, "missing a required argument"),
    ({"jitter": 0.1}, TaskError, "goes with delays= or delay="),
    ({"jitter": 0.1, "backoff": Exponential("1s")}, TaskError, "goes with delays= or delay="),
    ({"delays": ["1s"], "jitter": -0.1}, InvalidOption, "jitter=-0.1"),
    ({"delays": ["1s"], "jitter": 1.1}, InvalidOption, "jitter=1.1"),
    ({"delays": ["1s"], "jitter": float("nan")}, InvalidOption, "jitter=nan"),
    ({"delays": ["1s"], "jitter": True}, InvalidOption, "jitter=True"),
    ({"delays": ["1s"], "jitter": "10%"}, InvalidOption, "jitter='10%'"),
]


@pytest.mark.parametrize(("arguments", "error", "told"), POLICIES, ids=[told for *_, told in POLICIES])
def test_a_policy_that_cannot_work_is_refused(arguments: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error) as refusal:
        RetryPolicy(**arguments)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("soon",), "first='soon'"),
        ((-1,), "first=-1"),
        (("2h",), "first='2h' is longer than most='1h'"),
        (("2s", 0.5), "factor=0.5"),
        (("2s", 1001), "factor=1001"),
        (("2s", float("inf")), "factor=inf"),
        (("2s", float("nan")), "factor=nan"),
        (("2s", True), "factor=True"),
        (("2s", "2"), "factor='2'"),
        (("2s", 2, "for ever"), "most='for ever'"),
        (("2s", 2, "1h", 2), "jitter=2"),
    ],
)
def test_pauses_that_cannot_grow_are_refused(arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        Exponential(*arguments)
    assert told in refusal.value.problem


def test_a_delay_may_be_anything_that_can_be_called_with_both() -> None:
    class Table:
        def __call__(self, retried: int, error: BaseException) -> str:
            return "5s"

    def third(unit: int, retried: int, error: BaseException) -> int:
        return unit * retried

    for delay in (Table(), partial(third, 5), max, lambda *both: 5):
        assert RetryPolicy(delay=delay).delay is delay  # type: ignore[arg-type]
    assert (
        RetryPolicy(delay=Table()).pause(1, OSError()) == RetryPolicy(delay=partial(third, 5)).pause(1, OSError()) == 5
    )


def yields(ctx: object, value: object) -> Iterator[int]:
    yield 1


async def ayields(ctx: object, value: object) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("kind", ["on_retry", "on_dead", "on_success"])
@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (None, "no function"),
        ("send_mail", "no function"),
        (lambda: None, "too many positional"),
        (lambda ctx: None, "too many positional"),
        (lambda ctx, value, more: None, "missing a required argument"),
        (yields, "has a yield"),
        (ayields, "has a yield"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(kind: str, hook: Any, told: str) -> None:
    task = PgQueue("postgresql://nowhere").task(name="send")(lambda: None)
    with pytest.raises(TaskError) as refusal:
        getattr(task, kind)(hook)
    assert kind in refusal.value.problem
    assert told in refusal.value.problem
    assert not any(getattr(task.declaration.hooks, of) for of in ("retry", "dead", "success"))


def test_a_decorator_of_a_hook_gives_the_function_back() -> None:
    task = PgQueue("postgresql://nowhere").task(name="send")(lambda: None)

    def tell(ctx: object, value: object) -> None: ...

    decorators: list[Callable[[Any], Any]] = [task.on_retry, task.on_dead, task.on_success]
    assert all(decorate(tell) is tell for decorate in decorators)
    hooks = task.declaration.hooks
    assert hooks.retry == hooks.dead == hooks.success == [tell]
