"""How a handler in a child process is ended: it is told, then its child is killed with all that it started."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from pgqueue.model.clock import monotonic
from pgqueue.worker.children import GRACE_SECONDS, Children
from tests.processes import shop
from tests.processes.driver import Nursery, Started, gone, pids, returned, start


async def ends(started: Started) -> float:
    """Cancel a job as a worker does and wait; return the seconds that it took."""
    began = monotonic()
    started.ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await started.ending
    return monotonic() - began


async def test_a_handler_whose_time_is_over_is_killed_at_once_with_the_programs_that_it_started(
    nursery: Nursery,
) -> None:
    started = start(nursery.children, shop.spin, True, timeout=0.0)
    program = int(await started.said())
    child = psutil.Process(program).ppid()
    assert await ends(started) < GRACE_SECONDS / 2
    assert await gone(program, child)
    assert nursery.told.named("child.died") == [], "it was ended, it did not die of the job"
    assert nursery.told.named("child.recycled")[-1]["pid"] == child


async def test_a_plain_handler_that_looks_at_cancelled_ends_by_itself_and_its_child_goes_on(children: Children) -> None:
    pid = (await returned(children, shop.where))["pid"]
    started = start(children, shop.spin, True)
    await started.said()
    started.ending.cancel()
    report = await started.report()
    assert (report.verdict, report.result) == ("succeeded", '"told"')
    assert (await returned(children, shop.where))["pid"] == pid


async def test_an_async_handler_gets_a_cancellation_and_its_child_goes_on(children: Children) -> None:
    pid = (await returned(children, shop.where))["pid"]
    started = start(children, shop.hang, True)
    await started.said()
    assert await ends(started) < GRACE_SECONDS / 2
    assert (await returned(children, shop.where))["pid"] == pid


async def test_a_handler_that_does_not_listen_is_killed_after_a_grace_and_at_once_when_told_again(
    children: Children,
) -> None:
    deaf = start(children, shop.hang, False)
    await deaf.said()
    assert GRACE_SECONDS <= await ends(deaf) < 2 * GRACE_SECONDS
    deaf = start(children, shop.spin, False)
    await deaf.said()
    asyncio.get_running_loop().call_later(0.05, deaf.ending.cancel)
    assert await ends(deaf) < GRACE_SECONDS / 2


async def test_what_an_async_handler_leaves_on_the_loop_ends_with_it_or_costs_the_child(nursery: Nursery) -> None:
    children = nursery.children
    pid = (await returned(children, shop.where))["pid"]
    await returned(children, shop.leaves_a_task, False)
    assert (await returned(children, shop.where))["pid"] == pid
    await returned(children, shop.leaves_a_task, True)
    assert (await returned(children, shop.where))["pid"] != pid
    assert "task" in nursery.told.named("child.recycled")[-1]["reason"]


async def test_a_job_that_is_cancelled_while_it_waits_for_a_child_never_runs(children: Children) -> None:
    busy = start(children, shop.hang, True)
    await busy.said()
    waiting = start(children, shop.where)
    await asyncio.sleep(0)
    assert await ends(waiting) < GRACE_SECONDS / 2
    await ends(busy)
    assert await returned(children, shop.where)
    assert waiting.run.said.empty()


async def test_a_stop_ends_all_children_and_a_job_that_still_ran_goes_back() -> None:
    before = pids()
    async with Nursery(most=2) as children:
        busy = start(children, shop.spin, False)
        program = int(await busy.said())
        await returned(children, shop.where)
        numbers = pids() - before
        assert len(numbers) == 2
        await children.stop()
        assert (await busy.report())[:3] == ("release", 0.0, None)
        assert await gone(program, *numbers)
