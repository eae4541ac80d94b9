"""A child process: it imports the application once, then runs jobs that the worker hands over, one at a time.

The main thread runs the handlers; another one listens to the worker, so that a handler is told at once when it should
end, and the process dies when the worker does, even in the middle of a job.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import faulthandler
import inspect
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from pgqueue.tasks import CURRENT, Declaration, JobContext
from pgqueue.worker.addresses import Address, Module, find, load
from pgqueue.worker.calls import surrounded
from pgqueue.worker.child_logs import set_levels, take_over
from pgqueue.worker.relay import ChildRun
from pgqueue.worker.reports import Report
from pgqueue.worker.run import uncommitted
from pgqueue.worker.verdicts import describe, judge, summarise, unknown_task_pause, unrun
from pgqueue.worker.wire import Line, Message, job_of

LEFTOVER_SECONDS = 1.0  # for tasks that an async handler has left on the loop
LEAVE_SECONDS = 3.0  # for the end of the interpreter; a worker that lives kills earlier, one that is gone cannot
PR_SET_PDEATHSIG = 1


class Child:
    """One child process.

    Args:
        line: To the worker.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pid = os.getpid()
        self._orders: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._busy = True
        self._run: ChildRun | None = None
        self._task: asyncio.Task[Any] | None = None
        self._told = 0  # the turn that was told to end
        self._runner = asyncio.Runner()
        self._deps: dict[int, Any] = {}
        self._is_worn = False

    def serve(self) -> None:
        """Prepare, then run jobs until the worker hangs up."""
        threading.Thread(target=self._listen, name="pgqueue line", daemon=True).start()
        os.register_at_fork(after_in_child=self._forked)
        self._prepare()
        while (order := self._orders.get()) is not None:
            answer = self._do(order)
            if os.getpid() != self._pid:  # a handler forked, and its copy came back here
                _leave_quietly()
            self._busy = False
            self._line.send(answer)

    def _prepare(self) -> None:
        """Import what the worker names, and say what could not be imported."""
        hello = self._orders.get()
        assert hello is not None
        sys.argv[:], sys.path[:] = hello["argv"], hello["path"]
        failures: list[str] = []
        for name, file in hello["modules"]:
            try:
                load(Module(name, file))
            except BaseException as error:  # noqa: BLE001 - tasks of other modules can be run
                failures.append(f"{name}: {summarise(describe(error))}")
        take_over(hello["levels"], self._line)
        self._busy = False
        self._line.send({"kind": "ready", "failures": failures})

    def _do(self, order: Message) -> Message:
        """Run the job of an order; return what is answered."""
        job = job_of(order["job"])
        set_levels(order["levels"] or {})
        module, function, name, home = order["address"]
        try:
            task = find(Address(Module(*module), function, name, Module(*home)))
        except BaseException as error:  # noqa: BLE001 - importing runs the application's code
            return self._answer(order, Report("release", unknown_task_pause(job), describe(error), None))
        assert task.home is not None
        self._run = run = ChildRun(order, job, task.shape, task.home.payloads, task.home.completer, self._line)
        run.cancelled = self._told == run.turn
        value, raised = contextvars.copy_context().run(self._call, task, run)
        self._run = None
        _flush()
        return self._answer(order, *_report(task, run, value, raised))

    def _answer(self, order: Message, report: Report, mishap: str | None = None) -> Message:
        state = {"megabytes": own_megabytes(), "worn": self._is_worn}
        return {"kind": "ended", "turn": order["turn"], "report": list(report), "mishap": mishap, **state}

    def _call(self, task: Declaration, run: ChildRun) -> tuple[Any, BaseException | None]:
        """Call a handler, in the context that its job has; return what it returned and what it raised."""
        assert task.home is not None
        CURRENT.set((run.job, lambda _: run))
        try:
            args, kwargs = task.home.payloads.arguments(task.shape, run.job.payload)
            if task.context:
                args = (JobContext(run, self._deps_of(task)), *args)
            call = partial(task.function, *args, **kwargs)
            if inspect.iscoroutinefunction(task.function):
                return self._runner.run(self._await(call, run), context=contextvars.copy_context())
            return self._around(task, run, call)(), None
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes an outcome
            return None, error

    def _around(self, task: Declaration, run: ChildRun, call: Callable[[], Any]) -> Callable[[], Any]:
        """Put the application's plain middleware around a call, the first outermost."""
        assert task.home is not None
        inside = task.home.tasks.inside
        return surrounded(inside, JobContext(run, self._deps_of(task)), call) if inside else call

    async def _await(self, call: Callable[[], Any], run: ChildRun) -> tuple[Any, BaseException | None]:
        """Await a handler; what it leaves on the loop ends with it."""
        self._task = asyncio.current_task()
        try:
            if run.cancelled:
                raise asyncio.CancelledError
            return await call(), None
        except BaseException as error:  # noqa: BLE001 - SystemExit would end the loop
            return None, error
        finally:
            self._task = None
            await self._end_leftovers()

    async def _end_leftovers(self) -> None:
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        if leftovers:
            _, deaf = await asyncio.wait(leftovers, timeout=LEFTOVER_SECONDS)
            self._is_worn = self._is_worn or bool(deaf)

    def _deps_of(self, task: Declaration) -> Any:
        """Return what the application's ``deps`` makes, made once in this process."""
        assert task.home is not None
        if id(task.home) not in self._deps:
            self._deps[id(task.home)] = task.home.make_deps()
        return self._deps[id(task.home)]

    def _listen(self) -> None:
        """Take the worker's messages, until it hangs up or dies; then this process ends, whatever a handler has left in it."""
        while (message := self._line.receive()) is not None:
            run = self._run
            if message["kind"] in ("hello", "order"):
                self._busy = True
                self._orders.put(message)
            elif message["kind"] == "answer":
                if run is not None and run.turn == message["turn"]:
                    run.answer(message)
            else:
                self._tell_to_end(message["turn"])
        if self._busy:
            die()
        self._orders.put(None)
        time.sleep(LEAVE_SECONDS)
        die()

    def _tell_to_end(self, turn: int) -> None:
        """Cancel an async handler; a plain one has to look at ``ctx.cancelled``."""
        self._told = turn
        run, task = self._run, self._task
        if run is None or run.turn != turn:
            return
        run.cancelled = True
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                task.get_loop().call_soon_threadsafe(self._cancel, task)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if self._task is task:
            task.cancel()

    def _forked(self) -> None:
        """Take the worker's line, and the deafness to signals, from a process that a handler has forked."""
        self._line.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _report(task: Declaration, run: ChildRun, value: Any, raised: BaseException | None) -> tuple[Report, str | None]:
    """Say what becomes of a job, by what its handler returned and raised; and what the retry policy's function raised."""
    error = raised or unrun(value) or (uncommitted() if run.completed else None)
    if error is None:
        assert task.home is not None
        try:
            return Report("succeeded", 0.0, None, task.home.payloads.result(task.shape, value)), None
        except Exception as unkept:  # noqa: BLE001 - a value may be anything, and the work is done
            return Report("succeeded", 0.0, describe(unkept), None), None
    if run.cancelled and isinstance(error, asyncio.CancelledError):
        return Report("cancelled", 0.0, None, None), None
    judgement = judge(error, run.job, task.retry)
    return Report(judgement.verdict, judgement.delay, judgement.error, None), judgement.mishap


def die() -> None:
    """End this process at once, and all that its handlers started and left in its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process with its worker where it can (Linux), for a handler that holds the GIL sees nothing."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(Exception):  # an interpreter may lack ctypes
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)


def main() -> None:
    """Serve the worker that started this process: arguments are the descriptor of the line, and the worker's id."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not SIG_IGN, which the programs that a handler starts would inherit.
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(AttributeError, ValueError, OSError, RuntimeError):
        faulthandler.enable()
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    Child(Line(socket.socket(fileno=descriptor), parent)).serve()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _leave_quietly() -> None:
    _flush()
    os._exit(0)


def own_megabytes() -> float:
    """Return the memory that this process holds, in MB; the most it ever held where the system says nothing else."""
    try:
        with open("/proc/self/statm", "rb") as statistics:
            return int(statistics.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
