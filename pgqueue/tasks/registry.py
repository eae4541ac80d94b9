"""Declared functions and where to find them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pgqueue.model.errors import ConfigurationError, TaskError
from pgqueue.model.options import JobOptions, check_task_name
from pgqueue.model.payload import CallShape
from pgqueue.model.retry import RetryPolicy

Executor: TypeAlias = Literal["loop", "thread"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A task as the worker needs it."""

    name: str
    function: Callable[..., Any]
    shape: CallShape
    options: JobOptions
    retry: RetryPolicy
    executor: Executor
    context: bool


@dataclass(slots=True)
class Registry:
    """All tasks of an application, by name."""

    _tasks: dict[str, Declaration] = field(default_factory=dict)

    def add(self, declaration: Declaration) -> None:
        """Add a task.

        Raises:
            TaskError: Another function has the same name.
        """
        known = self._tasks.get(declaration.name)
        if known is not None:
            raise TaskError(
                f"Two functions declare the task {declaration.name!r}.",
                "Give one of them another name with name=.",
            )
        self._tasks[declaration.name] = declaration

    def find(self, name: str) -> Declaration | None:
        """Return the task of this name, or None."""
        return self._tasks.get(name)

    def queues(self) -> tuple[str, ...]:
        """Return "default" and every queue that a task names."""
        return tuple(dict.fromkeys(["default", *(d.options.queue for d in self if d.options.queue)]))

    def __iter__(self) -> Iterator[Declaration]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)


def declare(
    function: Callable[..., Any],
    *,
    name: str | None,
    options: Mapping[str, Any],
    retry: RetryPolicy | None,
    executor: Executor | None,
    context: bool,
) -> Declaration:
    """Check a function and its options, and make a task of them.

    Raises:
        TaskError: It is no plain function, or the executor does not fit it.
        InvalidOption: An option is out of range.
    """
    if not inspect.isfunction(function):
        raise TaskError(f"{function!r} is not a function.", "Declare a plain def or async def.")
    if name is None and function.__module__ == "__main__" and function.__name__ == "<lambda>":
        raise TaskError("A lambda has no name that a worker could find.", "Declare a def, or pass name=.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskError(f"{function.__qualname__} has a yield, and nothing would run it.", "Return a value instead.")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise TaskError(f"retry={retry!r} is not a RetryPolicy.", "Write retry=RetryPolicy(max_retries=3).")
    is_async = inspect.iscoroutinefunction(function)
    chosen: Executor = executor or ("loop" if is_async else "thread")
    if chosen not in ("loop", "thread") or (chosen == "loop") != is_async:
        raise TaskError(
            f"executor={chosen!r} does not fit {function.__qualname__}.",
            'An async def runs in the "loop", a def in a "thread".',
        )
    policy = retry or RetryPolicy()
    return Declaration(
        name=check_task_name(f"{_module_of(function)}.{function.__qualname__}" if name is None else name),
        function=function,
        shape=CallShape(function, context=context),
        options=JobOptions.of({**options, "max_retries": policy.max_retries}),
        retry=policy,
        executor=chosen,
        context=context,
    )


def _module_of(function: Callable[..., Any]) -> str:
    """Return the module as a worker imports it, also when it is run as a program: shop.py declares shop.resize."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return "__main__" if file is None else Path(file).stem


def need_tasks(registry: Registry) -> None:
    """Raise ConfigurationError when an application declares no task."""
    if not len(registry):
        raise ConfigurationError("The application declares no task.", "Decorate a function with @pgq.task.")
