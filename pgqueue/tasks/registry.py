"""Declared functions and where to find them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from pgqueue.model.errors import ConfigurationError, TaskError
from pgqueue.model.open_shape import OpenShape
from pgqueue.model.options import JobOptions, check_task_name, check_whole_number
from pgqueue.model.payload import CallShape
from pgqueue.model.payloads import Payloads
from pgqueue.model.retry import RetryPolicy
from pgqueue.tasks.completing import Completer
from pgqueue.tasks.program import this_program

Executor: TypeAlias = Literal["loop", "thread", "process"]
Hook: TypeAlias = Callable[..., Any]


@dataclass(slots=True)
class Hooks:
    """What is called when a run has ended, before its outcome is recorded. Plain or async; first in, first called.

    Attributes:
        retry: Called with the context and the error.
        dead: Called with the context and the error.
        success: Called with the context and what the handler returned.
    """

    retry: list[Hook] = field(default_factory=list)
    dead: list[Hook] = field(default_factory=list)
    success: list[Hook] = field(default_factory=list)


class Home(Protocol):
    """An application, as a child process that runs its jobs needs it."""

    @property
    def module(self) -> str:
        """Name of the module that a child imports first."""
        ...

    @property
    def payloads(self) -> Payloads:
        """How arguments are read and results stored."""
        ...

    @property
    def tasks(self) -> Registry:
        """Its tasks, and what is around them."""
        ...

    @property
    def completer(self) -> Completer:
        """What ends jobs in their handlers' own transactions."""
        ...

    def make_deps(self) -> Any:
        """Return what handlers get as ``ctx.deps``, made anew."""
        ...


@dataclass(frozen=True, slots=True)
class Declaration:
    """A task as the worker needs it.

    Attributes:
        limit: How many of its jobs one worker runs at the same time; None: as many as it has slots.
        raw: A route: its function takes the stored arguments as one mapping.
        home: The application that it belongs to.
    """

    name: str
    function: Callable[..., Any]
    shape: CallShape
    options: JobOptions
    retry: RetryPolicy
    executor: Executor
    context: bool
    limit: int | None = None
    raw: bool = False
    hooks: Hooks = field(default_factory=Hooks)
    home: Home | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class Registry:
    """All tasks of an application, by name, and what is around them all.

    Attributes:
        hooks: Called after those of the task.
        middleware: Around every handler, the first outermost.
    """

    _tasks: dict[str, Declaration] = field(default_factory=dict)
    _routes: dict[str, Declaration] = field(default_factory=dict)
    hooks: Hooks = field(default_factory=Hooks)
    middleware: list[Callable[..., Any]] = field(default_factory=list)

    @property
    def around(self) -> list[Callable[..., Any]]:
        """The middleware of the event loop."""
        return [layer for layer in self.middleware if inspect.iscoroutinefunction(layer)]

    @property
    def inside(self) -> list[Callable[..., Any]]:
        """The middleware that stands around plain handlers, where they run."""
        return [layer for layer in self.middleware if not inspect.iscoroutinefunction(layer)]

    def add(self, declaration: Declaration) -> None:
        """Add a task.

        Raises:
            TaskError: Another function has the same name.
        """
        declared = self._routes if declaration.raw else self._tasks
        if declaration.name in declared:
            raise TaskError(
                f"Two functions declare the task {declaration.name!r}.",
                "Give one of them another name with name=.",
            )
        declared[declaration.name] = declaration

    def find(self, name: str) -> Declaration | None:
        """Return the task of this name, else the route with the longest prefix of it, or None.

        Source of the rule: Asynq's ServeMux.
        """
        return self._tasks.get(name) or (self._route(name) if self._routes else None)

    def _route(self, name: str) -> Declaration | None:
        fitting = [prefix for prefix in self._routes if name.startswith(prefix)]
        return self._routes[max(fitting, key=len)] if fitting else None

    def queues(self) -> tuple[str, ...]:
        """Return "default" and every queue that a task names."""
        return tuple(dict.fromkeys(["default", *(d.options.queue for d in self if d.options.queue)]))

    def __iter__(self) -> Iterator[Declaration]:
        yield from self._tasks.values()
        yield from self._routes.values()

    def __len__(self) -> int:
        return len(self._tasks) + len(self._routes)


def declare(
    function: Callable[..., Any],
    *,
    name: str | None,
    options: Mapping[str, Any],
    retry: RetryPolicy | None,
    executor: Executor | None,
    context: bool,
    limit: int | None = None,
    home: Home | None = None,
    raw: bool = False,
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
    if chosen not in (("loop", "process") if is_async else ("thread", "process")):
        raise TaskError(
            f"executor={chosen!r} does not fit {function.__qualname__}.",
            'An async def runs in the "loop" or in a "process", a def in a "thread" or in a "process".',
        )
    if chosen == "process" and "<" in function.__qualname__:
        raise TaskError(
            f"{function.__qualname__} cannot be imported by a child process.", "Declare it at the top of a module."
        )
    policy = retry or RetryPolicy()
    return Declaration(
        name=check_task_name(f"{_module_of(function)}.{function.__qualname__}" if name is None else name),
        function=function,
        shape=_raw_shape(function) if raw else CallShape(function, context=context),
        options=JobOptions.of({**options, "max_retries": policy.max_retries}),
        retry=policy,
        executor=chosen,
        context=context,
        limit=None if limit is None else check_whole_number(limit, "limit", 1, 10_000, "Leave it out for no limit."),
        home=home,
        raw=raw,
    )


def _raw_shape(function: Callable[..., Any]) -> CallShape:
    try:
        inspect.signature(function).bind(None, {})
    except TypeError as error:
        raise TaskError(
            f"{function.__qualname__} cannot be called with the context and a mapping ({error}).",
            "Give it these two parameters.",
        ) from None
    return OpenShape(function.__qualname__)


def _module_of(function: Callable[..., Any]) -> str:
    """Return the module as a worker imports it, also when it is run as a program: shop.py declares shop.resize."""
    if function.__module__ != "__main__":
        return function.__module__
    return this_program().name.removesuffix(".__main__") or "__main__"


def need_tasks(registry: Registry) -> None:
    """Raise ConfigurationError when an application declares no task."""
    if not len(registry):
        raise ConfigurationError("The application declares no task.", "Decorate a function with @pgq.task.")
