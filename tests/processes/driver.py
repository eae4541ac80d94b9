"""Drives child processes without a worker: a job of a task, the run of it as a worker has it, and what became of it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import psutil
from anyio import to_thread

from pgqueue.model.clock import monotonic
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry, Task
from pgqueue.telemetry.events import Event, Events
from pgqueue.worker.children import Children
from pgqueue.worker.reports import Report
from pgqueue.worker.run import Desk, HeldRun
from pgqueue.worker.slot import Slot
from tests.processes import shop
from tests.worker.fakes import Hands, state_of

PATIENCE = 20.0
_numbers = itertools.count(1)


class Held(HeldRun):
    """A run whose progress and checkpoints the test sees.

    Attributes:
        said: (done, note) of each progress.
        stored: Each checkpoint.
    """

    def __init__(self, job: ClaimedJob, timeout: float) -> None:
        nothing = cast("Any", None)
        desk = Desk(state_of(cast("Hands", monotonic)), nothing, Registry(), Payloads(None, ()), nothing)
        slot = Slot(desk)
        slot.job, slot.started, slot.deadline = job, monotonic(), monotonic() + timeout
        super().__init__(job, slot, desk)
        self.said: asyncio.Queue[tuple[float | None, str | None]] = asyncio.Queue()
        self.stored: list[Any] = []
        self.refusal: Exception | None = None

    def progress(self, done: float | None, note: str | None) -> None:
        self.said.put_nowait((done, note))

    async def acheckpoint(self, value: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.stored.append(value)


class Started:
    """A job that was given to the children.

    Attributes:
        ending: The report to come; cancel it as a worker does.
    """

    def __init__(self, children: Children, task: Task[..., Any], run: Held) -> None:
        self.run = run
        self.ending = asyncio.create_task(children.run(run.job, task.declaration, run))

    async def said(self, done: float = 0.5) -> str:
        """Wait until the handler says that it is so far; return its note."""
        async with asyncio.timeout(PATIENCE):
            while True:
                seen, note = await self.run.said.get()
                if seen == done:
                    return note or ""

    async def report(self) -> Report:
        """Wait for the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.ending


def held(task: Task[..., Any], /, *args: Any, timeout: float = 60, payload: str | None = None, **facts: Any) -> Held:
    """Return a run of a new job."""
    job = ClaimedJob(
        id=next(_numbers),
        run=1,
        attempt=0,
        crashes=0,
        max_retries=25,
        timeout_ms=int(timeout * 1000),
        task=task.name,
        payload=task.job(*args).args if payload is None else payload,
        headers=None,
        tags=None,
        enqueued_at=datetime.now(UTC),
        has_key=False,
        expires=None,
        until=None,
        lease=1,
        queue="default",
    )
    return Held(job._replace(**facts), timeout)


def start(children: Children, task: Task[..., Any], *args: Any, **facts: Any) -> Started:
    """Give a new job to the children."""
    return Started(children, task, held(task, *args, **facts))


async def outcome(children: Children, task: Task[..., Any], *args: Any, **facts: Any) -> Report:
    """Run a new job to its end."""
    return await start(children, task, *args, **facts).report()


async def returned(children: Children, task: Task[..., Any], *args: Any, **facts: Any) -> Any:
    """Run a new job and return what its handler returned."""
    report = await outcome(children, task, *args, **facts)
    assert report.verdict == "succeeded", report.error
    assert report.error is None
    return None if report.result is None else json.loads(report.result)


def told(report: Report) -> tuple[str, str]:
    """Return type and message of a report's error."""
    error = json.loads(report.error or "{}")
    return error.get("type", ""), error.get("message", "")


class Told:
    """The events of some children."""

    def __init__(self) -> None:
        self.events = Events()
        self._seen: list[Event] = []
        self._more = asyncio.Event()
        self.events.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self._seen.append(event)
        self._more.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the facts of all events of a name."""
        return [dict(event.fields) for event in self._seen if event.name == name]

    async def wait(self, name: str) -> dict[str, Any]:
        """Wait for the first event of a name."""
        async with asyncio.timeout(PATIENCE):
            while not self.named(name):
                self._more.clear()
                await self._more.wait()
        return self.named(name)[0]


class Nursery:
    """Children of a test, with their events; ended with it."""

    def __init__(self, **options: Any) -> None:
        self.told = Told()
        self._options = {"most": 1, **options}

    async def __aenter__(self) -> Children:
        self.children = Children(events=self.told.events, **self._options)
        await self.children.start(shop.pgq.tasks)
        return self.children

    async def __aexit__(self, *_: object) -> None:
        await self.children.stop()


def pids() -> set[int]:
    """Return the children that this process has now."""
    return {child.pid for child in psutil.Process().children() if "pgqueue.worker.child" in command_of(child)}


def command_of(process: psutil.Process) -> str:
    """Return the command of a process, nothing of one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def gone(*numbers: int) -> bool:
    """Wait until processes are no more; say whether they are."""
    found = [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]
    _, alive = await to_thread.run_sync(lambda: psutil.wait_procs(found, timeout=PATIENCE))
    return not alive


Check = Callable[[Report], None]
