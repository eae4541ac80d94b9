"""How many children there are, when they are started, and when they are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest
from anyio import to_thread

from pgqueue import ChildDied, PgQueue
from pgqueue.worker.addresses import Module, load
from pgqueue.worker.children import Children
from pgqueue.worker.process import Process
from tests.processes import shop
from tests.processes.driver import PATIENCE, Nursery, Told, command_of, gone, outcome, pids, returned, start, told


async def test_without_process_tasks_no_child_is_started() -> None:
    before = pids()
    children = Children(most=2, events=Told().events)
    await children.start([shop.in_a_thread.declaration])
    assert pids() == before
    await children.stop()


async def test_the_first_child_has_imported_the_application_before_the_first_job() -> None:
    before = pids()
    async with Nursery() as children:
        (warm,) = pids() - before
        assert (await returned(children, shop.where))["pid"] == warm


async def test_as_many_children_run_as_are_allowed_and_others_wait(tmp_path: Path) -> None:
    gates = [tmp_path / "one", tmp_path / "two"]
    for gate in gates:
        os.mkfifo(gate)
    async with Nursery(most=2) as children:
        assert children.free == 2
        jobs = [start(children, shop.wait_for, str(gate)) for gate in gates]
        for job in jobs:
            await job.said()
        assert children.free == 0
        third = start(children, shop.where)
        await asyncio.sleep(0)
        assert not third.ending.done()
        for gate in gates:
            await to_thread.run_sync(gate.write_text, "")
        ran = {(await job.report()).result for job in jobs}
        assert len(ran) == 2
        assert (await third.report()).verdict == "succeeded"
        assert children.free == 2


async def test_a_child_is_replaced_after_so_many_jobs_by_one_that_is_ready() -> None:
    nursery = Nursery(recycle_jobs=2)
    async with nursery as children:
        ran = [(await returned(children, shop.where))["pid"] for _ in range(4)]
        assert (ran[0], ran[2]) == (ran[1], ran[3])
        assert ran[0] != ran[2]
        assert await gone(ran[0])
        event = nursery.told.named("child.recycled")[0]
        assert (event["pid"], event["jobs"]) == (ran[0], 2)


async def test_a_child_that_holds_too_much_memory_after_a_job_is_replaced() -> None:
    nursery = Nursery(recycle_megabytes=200)
    async with nursery as children:
        pid = await returned(children, shop.swell, 1)
        assert await returned(children, shop.swell, 250) == pid
        assert await returned(children, shop.swell, 1) != pid
        assert "MB" in nursery.told.named("child.recycled")[0]["reason"]


async def test_the_death_of_an_idle_child_is_told_and_hurts_no_job() -> None:
    nursery = Nursery()
    async with nursery as children:
        pid = (await returned(children, shop.where))["pid"]
        os.kill(pid, signal.SIGKILL)
        assert await nursery.told.wait("child.died") == {
            "pid": pid,
            "reason": "The child process was killed by SIGKILL.",
        }
        assert (await returned(children, shop.where))["pid"] != pid


async def test_the_terminals_signals_do_not_end_a_child() -> None:
    async with Nursery() as children:
        pid = (await returned(children, shop.where))["pid"]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert (await returned(children, shop.where))["pid"] == pid


async def test_a_task_that_a_child_cannot_import_goes_back_and_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "half_gone.py"
    module.write_text(
        "from pgqueue import PgQueue\npgq = PgQueue()\n@pgq.task(executor='process')\ndef cut() -> None: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    here = load(Module("half_gone"))
    module.write_text("raise RuntimeError('not in this version')\n")
    told_of = Told()
    children = Children(most=1, events=told_of.events)
    await children.start([*here.pgq.tasks, *shop.pgq.tasks])
    report = await outcome(children, here.cut)
    assert (report.verdict, report.delay) == ("release", 1.0)
    assert told(report) == ("RuntimeError", "not in this version")
    assert "half_gone: RuntimeError: not in this version" in told_of.named("service.failed")[0]["error"]
    assert await returned(children, shop.where)
    await children.stop()


async def test_an_application_that_ends_the_process_when_it_is_imported_is_told_and_its_jobs_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "deadly.py"
    module.write_text(
        "import os, sys\n"
        "from pgqueue import PgQueue\n"
        "pgq = PgQueue()\n"
        "@pgq.task(executor='process')\n"
        "def cut() -> None: ...\n"
        "if 'pgqueue.worker.child' in sys.modules: os._exit(7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pgqueue.worker.child", raising=False)
    here = load(Module("deadly"))
    told_of = Told()
    children = Children(most=1, events=told_of.events)
    await children.start(here.pgq.tasks)
    report = await outcome(children, here.cut)
    assert report.verdict == "release"
    assert "exit code 7" in told(report)[1]
    assert told_of.named("service.failed")
    await children.stop()


@pytest.mark.parametrize(("name", "verdict"), [("pgqueue child", "release"), ("pgqueue guard", "succeeded")])
async def test_where_no_thread_can_be_started_who_waits_is_told_and_no_child_is_left(
    monkeypatch: pytest.MonkeyPatch, name: str, verdict: str
) -> None:
    start_thread = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start_thread(thread)

    before, told_of = pids(), Told()
    children = Children(most=1, events=told_of.events)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_others)
        report = await outcome(children, shop.where)
    assert report.verdict == verdict, report.error
    if verdict == "release":
        assert told(report) == ("RuntimeError", "can't start new thread")
        assert pids() == before
        assert told_of.named("service.failed")[0]["service"] == "child process"
        assert (await returned(children, shop.where))["pid"] not in before, "and the next one is started"
    await children.stop()


async def test_a_guard_that_somebody_kills_is_replaced_with_the_next_child() -> None:
    async with Nursery() as children:
        guard = shells()[0]
        guard.kill()
        await returned(children, shop.where)
        await outcome(children, shop.behave, "_exit")
        await returned(children, shop.where)
        assert [shell.pid for shell in shells() if shell.pid != guard.pid]


def shells() -> list[psutil.Process]:
    """Return the guards that this process has now, the latest first."""
    guards = [one for one in psutil.Process().children() if "read -r line" in command_of(one)]
    return sorted(guards, key=lambda one: one.create_time(), reverse=True)


async def test_a_child_that_its_worker_leaves_ends_even_with_a_thread_that_would_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_a_thread.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lost: asyncio.Future[ChildDied] = asyncio.get_running_loop().create_future()
    child = await Process.start([Module("leaves_a_thread")], lambda _, error: lost.set_result(error))
    try:
        assert await child.ready() == []
        child.leaving = True
        child._writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            await lost
    finally:
        child.kill()


async def test_a_task_of_an_interpreter_goes_back_with_the_reason() -> None:
    def typed() -> None: ...

    typed.__module__, typed.__qualname__ = "__main__", "typed"
    main = sys.modules["__main__"]
    task = PgQueue().task(executor="process")(typed)
    children = Children(most=1, events=Told().events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "__spec__", None)
        patch.delattr(main, "__file__", raising=False)
        await children.start([task.declaration])
        report = await outcome(children, task)
    assert report.verdict == "release"
    assert "typed into an interpreter" in told(report)[1]
    await children.stop()
