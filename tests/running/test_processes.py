"""A parent keeps its processes running, passes on what it is told, and ends as the worst of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from pgqueue.cli.outside import Outside
from pgqueue.cli.processes import Processes
from pgqueue.telemetry.events import Events
from pgqueue.worker.state import Timing
from tests.running.glances import Glances
from tests.worker.harness import PATIENCE, Heard

SCRIPT = Path(__file__).with_name("fake_worker.py")


class Bench:
    """A parent of processes that behave in one way."""

    def __init__(self, folder: Path, behaviour: str, count: int = 1, *, until_done: bool = False) -> None:
        self.log = folder / "log"
        self.log.touch()
        events = Events()
        self.heard = Heard(events)
        command = [sys.executable, "-IS", str(SCRIPT), behaviour, str(self.log)]
        timing = Timing(soft_stop=0.2, hard_stop=0.0)
        self.parent = Processes(count, timing=timing, until_done=until_done, events=events, command=command)
        self._glances = Glances()
        self.until = self._glances.until
        self.outside = Outside(self.parent, health=None, ready_file=str(folder / "ready"), events=events)
        self.outside.followers.append(self._glances)

    def run(self) -> Awaitable[int]:
        """Run the parent."""

        async def run() -> int:
            with self.outside as outside:
                async with asyncio.timeout(PATIENCE):
                    return await self.parent.run(outside)

        return asyncio.create_task(run())

    def said(self) -> list[str]:
        """Return what the processes noted, without their ids."""
        return [line.split(" ", 1)[1] for line in self.log.read_text().splitlines()]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr("pgqueue.cli.processes.EVERY", 0.02)
    monkeypatch.setattr("pgqueue.cli.processes.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("pgqueue.cli.processes.MARGIN_SECONDS", 0.2)
    monkeypatch.setattr("pgqueue.worker.shutdown.UNWIND_SECONDS", 0.0)


async def test_all_are_told_and_the_parent_is_ready_when_all_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "obedient", 3)
    running = bench.run()
    await bench.until(lambda: bench.parent.is_ready and (tmp_path / "ready").exists())
    assert bench.parent.summary() == "3 of 3 processes ready"
    assert [member["ready"] for member in bench.parent.status()["processes"]] == [True] * 3
    for word in ("quiet", "resume"):
        bench.parent._tell(word)
    bench.parent.stop()
    assert not bench.parent.is_ready
    assert await running == 0
    assert sorted(bench.said()) == sorted(["started", "quiet", "resume", "stop"] * 3)
    assert not (tmp_path / "ready").exists()


async def test_the_exit_code_is_the_worst(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "forced", 2)
    running = bench.run()
    await bench.until(lambda: bench.parent.is_ready)
    bench.parent.stop()
    assert await running == 3


@pytest.mark.parametrize("code", [1, 2, 4])
async def test_an_error_before_any_was_ready_ends_the_whole_with_its_code(tmp_path: Path, code: int) -> None:
    bench = Bench(tmp_path, f"exit {code}", 2)
    assert await bench.run() == code
    assert bench.heard.named("process.ended") == []


@pytest.mark.parametrize(("behaviour", "how"), [("dies once", {"signal": 9}), ("ends well once", {"code": 0})])
async def test_one_that_ends_is_started_again(tmp_path: Path, behaviour: str, how: dict[str, int]) -> None:
    bench = Bench(tmp_path, behaviour)
    running = bench.run()
    [ended] = await bench.heard.wait("process.ended")
    assert how.items() <= ended.items()
    assert (ended["again_in"] == 0) is (how == {"code": 0})
    await bench.until(lambda: bench.parent.is_ready)
    assert bench.parent.members[0].starts == 2
    bench.parent.stop()
    assert await running == 0


async def test_once_one_was_ready_errors_are_answered_with_another_try_that_comes_later_each_time(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "second fails")
    running = bench.run()
    ended = await bench.heard.wait("process.ended", 2)
    assert [one["code"] for one in ended] == [1, 2]
    assert ended[1]["again_in"] > ended[0]["again_in"] > 0
    await bench.until(lambda: bench.parent.is_ready)
    bench.parent.stop()
    assert await running == 0


async def test_a_drain_ends_when_all_have_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "exit 0", 2, until_done=True)
    assert await bench.run() == 0
    assert bench.said() == ["started", "started"]


async def test_one_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "deaf")
    running = bench.run()
    await bench.until(lambda: bench.parent.is_ready)
    bench.parent.stop()
    assert await running == 3


async def test_a_third_signal_kills_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgqueue.cli.processes.MARGIN_SECONDS", 60.0)
    bench = Bench(tmp_path, "deaf", 2)
    running = bench.run()
    await bench.until(lambda: bench.parent.is_ready)
    for step in (bench.parent.stop, bench.parent.hurry, bench.parent.kill):
        step()
    assert await running == 3


async def test_one_that_the_watchdog_does_not_hear_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    bench = Bench(tmp_path, "silent once")
    running = bench.run()
    [stuck] = await bench.heard.wait("process.stuck")
    assert stuck["pid"] == int(bench.log.read_text().split()[0])
    await bench.heard.wait("process.ended")
    bench.parent.stop()
    assert await running == 0
