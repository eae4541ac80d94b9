"""How an application declares its tasks, and what stands around them: routes, middleware, hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import update_wrapper
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from pgqueue.model.durations import Duration
from pgqueue.model.errors import TaskError
from pgqueue.model.open_shape import OpenShape
from pgqueue.model.options import JobOptions, check_task_name
from pgqueue.model.retry import RetryPolicy
from pgqueue.model.unique import Unique
from pgqueue.tasks.context import JobContext
from pgqueue.tasks.handles import D, Declare, DeclareWithContext, P, R, Task
from pgqueue.tasks.hooks import check_hook
from pgqueue.tasks.producing import Producer
from pgqueue.tasks.registry import Declaration, Executor, Home, Registry, declare

F = TypeVar("F", bound=Callable[..., Any])
RawHandler: TypeAlias = Callable[[JobContext[D], Mapping[str, Any]], Any]


class Declaring(Generic[D]):
    """What an application declares."""

    _tasks: Registry
    _producer: Producer
    _home: Home

    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        context: Literal[True],
        name: str | None = ...,
        queue: str | None = ...,
        priority: int | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: Duration | None = ...,
        unique: bool | Unique | None = ...,
        executor: Executor | None = ...,
        limit: int | None = ...,
        expires_in: Duration | None = ...,
    ) -> DeclareWithContext[D]: ...
    @overload
    def task(
        self,
        /,
        *,
        context: Literal[False] = ...,
        name: str | None = ...,
        queue: str | None = ...,
        priority: int | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: Duration | None = ...,
        unique: bool | Unique | None = ...,
        executor: Executor | None = ...,
        limit: int | None = ...,
        expires_in: Duration | None = ...,
    ) -> Declare: ...
    def task(
        self,
        function: Any = None,
        /,
        *,
        context: bool = False,
        name: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        unique: bool | Unique | None = None,
        executor: Executor | None = None,
        limit: int | None = None,
        expires_in: Duration | None = None,
    ) -> Any:
        """Declare a function as a task.

        Args:
            context: Whether its first parameter is the JobContext, which callers do not pass.
            name: Under which jobs are stored; its module and qualified name.
            queue: Where its jobs go; "default".
            priority: 0 to 9, higher is served first; 0.
            retry: How often and when it is tried again; 25 retries on Asynq's formula.
            timeout: Longest time of an attempt; 30 minutes.
            unique: Whether calls with the same arguments share a key, and how; see ``Unique``.
            executor: "loop" for an async def, "thread" for a def; "process" for either: a child process.
            limit: How many of its jobs one worker runs at the same time; as many as it has slots.
            expires_in: How long after its enqueue a job may start; for ever.

        Raises:
            TaskError: It is no plain function, its name is taken, or the executor does not fit.
            InvalidOption: An option is out of range.
        """
        options: dict[str, Any] = {"queue": queue, "priority": priority, "timeout": timeout, "unique": unique}
        options["expires_in"] = expires_in
        said = {"name": name, "retry": retry, "executor": executor, "context": context, "limit": limit}

        def decorate(chosen: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(chosen, options, said)

        return decorate if function is None else decorate(function)

    def _declare(
        self, function: Callable[..., Any], options: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Task[..., Any]:
        declaration = declare(function, options=options, home=self._home, **said)
        self._tasks.add(declaration)
        task: Task[..., Any] = Task(declaration, self._producer, JobOptions())
        update_wrapper(task, function)  # its name and documentation are the function's
        return task

    def named(self, name: str, /) -> Task[..., Any]:
        """Return a task that is declared elsewhere, by its name, to be enqueued from here: its arguments are not checked.

        Args:
            name: Under which the worker declares it; arguments are passed by keyword.

        Raises:
            InvalidOption: It is no name of a task.
        """
        shape = OpenShape(check_task_name(name))
        return Task(
            Declaration(name, _elsewhere, shape, JobOptions(), RetryPolicy(), "loop", context=False),
            self._producer,
            JobOptions(),
        )

    def route(
        self,
        prefix: str,
        /,
        *,
        retry: RetryPolicy | None = None,
        executor: Executor | None = None,
        limit: int | None = None,
    ) -> Callable[[F], F]:
        """Declare a function that runs all jobs whose task begins with a prefix and that no task of that name runs.

        Its parameters are the context, whose ``task`` is the whole name, and the stored arguments as a mapping. Of several
        prefixes the longest counts. Source of the rule: Asynq's ServeMux.

        Args:
            prefix: Such as "image:".
            retry: When it is tried again; how often is said at the enqueue.
            executor: As for ``task``.
            limit: As for ``task``.

        Raises:
            TaskError: It is no plain function of two parameters, or the prefix is taken.
        """

        def decorate(chosen: F) -> F:
            declaration = declare(
                chosen,
                name=prefix,
                options={},
                retry=retry,
                executor=executor,
                context=True,
                limit=limit,
                home=self._home,
                raw=True,
            )
            self._tasks.add(declaration)
            return chosen

        return decorate

    def middleware(self, function: F, /) -> F:
        """Put a function around every handler: ``async def m(ctx, call): return await call()``.

        A plain ``def m(ctx, call): return call()`` stands around plain handlers, in their own thread or child process. What
        is declared first is outermost.

        Raises:
            TaskError: It cannot be called with the context and the call.
        """
        self._tasks.middleware.append(check_hook(function, "middleware"))
        return function

    def on_retry(self, function: F, /) -> F:
        """Call a function with the context and the error of every run that will be tried again.

        Raises:
            TaskError: It cannot be called with these two.
        """
        self._tasks.hooks.retry.append(check_hook(function, "on_retry"))
        return function

    def on_dead(self, function: F, /) -> F:
        """Call a function with the context and the error of every job that is dead.

        Not of one that is ended because its workers died of it: nobody runs it then.

        Raises:
            TaskError: It cannot be called with these two.
        """
        self._tasks.hooks.dead.append(check_hook(function, "on_dead"))
        return function

    def on_success(self, function: F, /) -> F:
        """Call a function with the context and the result of every job that succeeds.

        Not of one that ``ctx.complete`` has ended: its worker does not see the commit.

        Raises:
            TaskError: It cannot be called with these two.
        """
        self._tasks.hooks.success.append(check_hook(function, "on_success"))
        return function


def _elsewhere(**_: Any) -> None:
    raise TaskError("The task is declared elsewhere.", "Enqueue it; a worker that declares it runs it.")
