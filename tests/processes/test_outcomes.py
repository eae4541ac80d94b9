"""What becomes of a job whose handler runs in a child process."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import pytest

from pgqueue import SignatureMismatch
from pgqueue.model.poison import MOST_CRASHES
from pgqueue.tasks import Task
from pgqueue.worker.children import Children, crashed
from pgqueue.worker.process import death
from tests.processes import shop
from tests.processes.driver import Nursery, held, outcome, returned, told

BOTH = pytest.mark.parametrize("task", [shop.behave, shop.behave_async], ids=["def", "async def"])


async def test_a_handler_runs_in_another_process_and_session_with_the_programs_own_arguments(
    children: Children,
) -> None:
    seen = await returned(children, shop.where)
    assert seen["pid"] != os.getpid()
    assert seen["session"] == seen["pid"]
    assert seen["main"] == "tests.processes.shop"
    assert seen["argv"] == sys.argv


async def test_async_handlers_of_a_child_share_one_event_loop(children: Children) -> None:
    assert await returned(children, shop.where_async) == await returned(children, shop.where_async)


@BOTH
@pytest.mark.parametrize(
    ("how", "verdict", "delay", "kind"),
    [
        ("error", "retry", 5.0, "ValueError"),
        ("BadImage", "dead", 0.0, "tests.processes.shop.BadImage"),
        ("GiveUp", "dead", 0.0, "pgqueue.GiveUp"),
        ("Snooze", "snooze", 7.0, "pgqueue.Snooze"),
        ("RetryAfter", "retry", 9.0, "pgqueue.RetryAfter"),
        ("SystemExit", "retry", 5.0, "SystemExit"),
        ("KeyboardInterrupt", "retry", 5.0, "KeyboardInterrupt"),
        ("recursion", "retry", 5.0, "RecursionError"),
    ],
)
async def test_what_a_handler_raises_is_judged_in_the_child_and_the_child_goes_on(
    children: Children, task: Task[..., Any], how: str, verdict: str, delay: float, kind: str
) -> None:
    before = await returned(children, shop.where)
    report = await outcome(children, task, how)
    assert (report.verdict, report.delay, told(report)[0]) == (verdict, delay, kind)
    assert "shop.py" in json.loads(report.error or "")["traceback"]
    assert await returned(children, shop.where) == before


async def test_the_last_attempt_that_fails_is_dead(children: Children) -> None:
    report = await outcome(children, shop.behave, "error", attempt=25)
    assert report.verdict == "dead"


LEAVES = "and was killed."
DEATHS = {
    "_exit": "The child process ended with exit code 3.",
    "SIGSEGV": "The child process was killed by SIGSEGV.",
    "garbage": f"The child process wrote what is no message where it speaks to the worker, {LEAVES}",
}
MORE_DEATHS = {
    "SIGKILL": "The child process was killed by SIGKILL.",
    "close": "The child process ended with exit code 0.",
    "half": "The child process ended with exit code 0.",
    "nonsense": f"The child process wrote a message that means nothing to its worker, {LEAVES}",
}


@pytest.mark.parametrize(
    ("how", "problem"),
    [*DEATHS.items(), *(pytest.param(*more, marks=pytest.mark.long) for more in MORE_DEATHS.items())],
)
async def test_a_child_that_dies_of_a_job_is_said_how_and_the_next_job_has_another(
    nursery: Nursery, how: str, problem: str
) -> None:
    children = nursery.children
    before = await returned(children, shop.where)
    report = await outcome(children, shop.behave, how)
    assert (report.verdict, report.delay) == ("crashed", 5.0)
    kind, message = told(report)
    assert kind == "pgqueue.ChildDied"
    assert message.startswith(problem)
    event = nursery.told.named("child.died")[-1]
    assert (event["pid"], event["task"], event["reason"]) == (before["pid"], shop.behave.name, problem)
    assert (await returned(children, shop.where))["pid"] != before["pid"]


@pytest.mark.parametrize(
    ("crashes", "attempt", "verdict", "kind"),
    [
        (0, 0, "crashed", "pgqueue.ChildDied"),
        (MOST_CRASHES - 1, 0, "poison", "Poison"),
        (MOST_CRASHES - 1, 25, "poison", "Poison"),
        (0, 25, "dead", "pgqueue.ChildDied"),
    ],
)
def test_a_job_whose_child_died_is_tried_again_within_its_attempts_and_three_deaths(
    crashes: int, attempt: int, verdict: str, kind: str
) -> None:
    job = held(shop.behave, "_exit", crashes=crashes, attempt=attempt).job
    report = crashed(death(-9), job, shop.behave.declaration)
    assert report.verdict == verdict
    assert told(report)[0] == kind
    assert "SIGKILL" in told(report)[1]


@pytest.mark.parametrize("how", ["fork and return", "fork and raise", "fork and exit"])
async def test_the_copy_of_a_handler_that_forks_answers_nothing(children: Children, how: str) -> None:
    before = await returned(children, shop.where)
    assert (await outcome(children, shop.behave, how)).verdict == "succeeded"
    assert await returned(children, shop.where) == before, "it is neither taken for the copy nor killed"


async def test_a_program_of_another_version_hands_its_arguments_back(children: Children) -> None:
    report = await outcome(children, shop.echo, payload='{"words": "hello"}')
    assert (report.verdict, report.delay) == ("release", 1.0)
    assert told(report)[0] == f"pgqueue.{SignatureMismatch.__name__}"


async def test_large_arguments_and_results_pass(children: Children) -> None:
    text = "ü" * 500_000
    assert await returned(children, shop.digest, text) == hashlib.sha256(text.encode()).hexdigest()
    assert await returned(children, shop.echo, "€" * 20_000) == "€" * 20_000


async def test_a_result_that_cannot_be_kept_is_said_beside_the_success(children: Children) -> None:
    report = await outcome(children, shop.echo, "x" * 100_000)
    assert (report.verdict, report.result) == ("succeeded", None)
    assert told(report)[0] == "pgqueue.InvalidPayload"


async def test_what_a_handler_prints_goes_where_the_worker_prints_and_holds_nothing_up(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with Nursery() as children:
        await returned(children, shop.chatter, 10_000)
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 10_000
    assert lines[-1].startswith("line 9999 ")
