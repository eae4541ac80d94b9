"""The times and codes that docs/running.md states are those of the code."""

from __future__ import annotations

from pgqueue.cli import processes
from pgqueue.worker import outlook, shutdown, supervisor
from pgqueue.worker.state import Timing
from pgqueue.worker.watchdog import LEAST_ZOMBIES
from tests.docs.pages import DOCS, table

PAGE = DOCS / "running.md"


def test_a_stop_takes_as_long_as_stated() -> None:
    timing = Timing()
    phases = [longest for _, _, longest in table(PAGE, "| Phase | What | Longest |")]
    waiting = timing.hard_stop + 2 * shutdown.UNWIND_SECONDS
    assert f"{waiting:g} s" in phases[0]
    assert f"{waiting:g} s" in phases[3]
    assert f"{timing.soft_stop:g} s" in phases[1]
    assert phases[2] == f"{shutdown.UNWIND_SECONDS:g} s"
    without_jobs = shutdown.longest_stop(timing, hurried=True)
    text = " ".join(PAGE.read_text().split())
    assert f"at most the stop timeout and {without_jobs:g} s" in text
    assert f"(stop timeout and {without_jobs + processes.MARGIN_SECONDS:g} s)" in text
    assert f"after {processes.FIRST_PAUSE:g} s, doubled up to {processes.LONGEST_PAUSE:g} s" in text
    assert f"within {outlook.LIVE_SECONDS:g} s" in text
    assert LEAST_ZOMBIES == 10


def test_the_exit_codes_are_as_stated() -> None:
    stated = [int(code) for code, _ in table(PAGE, "| Code | Meaning |")]
    assert stated == [0, 1, 2, 3, 4, 5]
    assert (supervisor.EXIT_CLEAN, supervisor.EXIT_FORCED, supervisor.EXIT_EXHAUSTED) == (0, 3, 5)
