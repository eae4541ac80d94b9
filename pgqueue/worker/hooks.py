"""What an application wants to be called when a run has ended: the task's own hooks, then those of all tasks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from pgqueue.backend import Verdict
from pgqueue.model.errors import message_of
from pgqueue.tasks import Declaration, Hooks, JobContext, Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.threads import Threads
from pgqueue.worker.verdicts import unrun

HookKind: TypeAlias = Literal["retry", "dead", "success"]
Hook: TypeAlias = Callable[..., Any]

LONGEST_HOOK = 30.0

# What a handler asked for (snooze) and what was not its doing (release, cancelled, expired) call none.
_KINDS: Mapping[Verdict, HookKind] = {
    "succeeded": "success",
    "retry": "retry",
    "crashed": "retry",
    "dead": "dead",
    "poison": "dead",
}


def hook_kind(verdict: Verdict) -> HookKind | None:
    """Return which hooks a verdict calls, if any."""
    return _KINDS.get(verdict)


class HookRunner:
    """Calls hooks. Whatever they do, the outcome of the run stays.

    Args:
        threads: Where plain functions are called.
        longest: Seconds that each hook may take.
    """

    def __init__(self, registry: Registry, threads: Threads, events: Events, *, longest: float = LONGEST_HOOK) -> None:
        self._registry = registry
        self._threads = threads
        self._events = events
        self._longest = longest
        self._calls: set[asyncio.Task[BaseException | None]] = set()  # the event loop alone would not keep them

    def wanted(self, kind: HookKind, task: Declaration) -> bool:
        """Say whether there is anything to run; asked for every job."""
        return bool(_of(task.hooks, kind) or _of(self._registry.hooks, kind))

    def of_all(self, kind: HookKind) -> list[Hook]:
        """Return the hooks of all tasks, as a list that grows with them."""
        return _of(self._registry.hooks, kind)

    async def run(self, kind: HookKind, task: Declaration, context: JobContext[Any], value: object) -> None:
        """Call the hooks one after the other.

        Args:
            value: The error, or what the handler returned.

        Raises:
            CancelledError: The slot was cancelled, and with it the hook; those after it are not called.
        """
        for hook in (*_of(task.hooks, kind), *_of(self._registry.hooks, kind)):
            try:
                error = await self._run_one(hook, context, value)
            except asyncio.CancelledError:
                self._tell(hook, task, context, TimeoutError("The worker stopped, or took the job back, meanwhile."))
                raise
            if error is not None:
                self._tell(hook, task, context, error)

    def _tell(self, hook: Hook, task: Declaration, context: JobContext[Any], error: BaseException) -> None:
        told = f"{type(error).__name__}: {message_of(error)}"
        self._events.emit("hook.failed", hook=_name(hook), task=task.name, job=context.id, error=told)

    async def _run_one(self, hook: Hook, context: JobContext[Any], value: object) -> BaseException | None:
        """Return the error of a hook. It has a task of its own, so that what it does to its task it does not do to the slot."""
        call = asyncio.get_running_loop().create_task(self._call(hook, context, value))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            await asyncio.wait({call}, timeout=self._longest)
        finally:
            ended = call.done()
            if not ended:
                call.cancel()  # one that does not listen goes on; nobody waits for it
        if not ended:
            return TimeoutError(f"It took longer than {self._longest:g} s.")
        return asyncio.CancelledError() if call.cancelled() else call.result()

    async def _call(self, hook: Hook, context: JobContext[Any], value: object) -> BaseException | None:
        """Return errors, because asyncio lets SystemExit and KeyboardInterrupt of a task end the event loop."""
        try:
            if inspect.iscoroutinefunction(hook):
                await hook(context, value)
                return None
            returned, error = await self._threads.call(hook, (context, value), {})
            return error or unrun(returned)
        except BaseException as error:  # noqa: BLE001 - as said
            return error


def _of(hooks: Hooks, kind: HookKind) -> list[Hook]:
    if kind == "success":
        return hooks.success
    return hooks.dead if kind == "dead" else hooks.retry


def _name(hook: Hook) -> str:
    return str(getattr(hook, "__qualname__", hook))
