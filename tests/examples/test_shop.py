"""The demonstration proves what it claims, says so when something differs, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest
from rich.console import Console

from examples.shop.ledger import Draft, Ledger
from examples.shop.mail import message_id
from examples.shop.mailbox import Letter
from examples.shop.proof import Check, Found, prove, sent_twice
from examples.shop.report import report_proof
from pgqueue import Job
from tests.support import ROOT

WIDTHS = (480, 120)
WELCOME = Letter("welcome", 7, message_id("1"))
CONFIRMATION = Letter("confirmation", 3, message_id("2"))


def job(number: int) -> Job[None]:
    return Job(str(number), "shop.task", "mail")


@pytest.fixture
def ledger() -> Ledger:
    """A sign-up, an order with one other job, a hopeless job; a sign-up and an order that were rolled back."""
    kept = Ledger()
    kept.committed(Draft("welcome", 7, job(1)))
    kept.committed(Draft("confirmation", 3, job(2), (job(3),)))
    kept.hopeless(job(4))
    kept.forgotten(Draft("welcome", 8, job(5)))
    kept.forgotten(Draft("confirmation", 4, job(6)))
    return kept


@pytest.fixture
def found() -> Found:
    """Everything as it was promised; a worker was killed with job 2 in its hands."""
    return Found(
        rows={("welcome", 7), ("confirmation", 3)},
        letters=[WELCOME, CONFIRMATION],
        payments=[3],
        pictures={(3, 480), (3, 120)},
        jobs=[("1", "succeeded"), ("2", "succeeded"), ("3", "succeeded"), ("4", "dead")],
        endings={"1": 1, "2": 1, "3": 1, "4": 1},
        held={"2"},
    )


def test_the_proof_holds_when_everything_is_as_promised(ledger: Ledger, found: Found) -> None:
    checks = prove(ledger, found, WIDTHS)
    assert [check.claim for check in checks if not check.holds] == []
    assert len(checks) == 11


BREAKS: dict[str, tuple[Callable[[Found], Found], str, str]] = {
    "a confirmation is missing": (
        lambda f: replace(f, letters=[WELCOME]),
        "confirmation mails delivered",
        "missing: mail confirmation 3",
    ),
    "a welcome is missing": (
        lambda f: replace(f, letters=[CONFIRMATION]),
        "welcome mails delivered",
        "missing: mail welcome 7",
    ),
    "a welcome came under two Message-IDs": (
        lambda f: replace(f, letters=[*f.letters, WELCOME._replace(message_id=message_id("9"))]),
        "welcome mails delivered",
        "not promised: mail welcome 7",
    ),
    "a mail came under the Message-ID of another job": (
        lambda f: replace(f, letters=[CONFIRMATION, WELCOME._replace(message_id=message_id("3"))]),
        "welcome mails delivered",
        "missing: mail welcome 7",
    ),
    "a mail came of what was rolled back": (
        lambda f: replace(f, letters=[*f.letters, Letter("confirmation", 4, message_id("6"))]),
        "rolled back: no mail delivered",
        "not promised: mail confirmation 4",
    ),
    "a row was rolled back and is there": (
        lambda f: replace(f, rows={*f.rows, ("welcome", 8)}),
        "rows in the shop's tables",
        "not promised: row welcome 8",
    ),
    "a job is unaccounted for": (
        lambda f: replace(f, jobs=f.jobs[1:]),
        "ids returned by enqueue",
        "missing: job 1",
    ),
    "a job is there that nobody enqueued": (
        lambda f: replace(f, jobs=[*f.jobs, ("10", "succeeded")]),
        "ids returned by enqueue",
        "not promised: job 10",
    ),
    "a job stands in two places": (
        lambda f: replace(f, jobs=[*f.jobs, ("1", "ready")]),
        "ids returned by enqueue",
        "not promised: job 1",
    ),
    "a job was rolled back and is there": (
        lambda f: replace(f, jobs=[*f.jobs, ("5", "succeeded")]),
        "jobs rolled back",
        "not promised: job 5",
    ),
    "a job has not ended": (
        lambda f: replace(f, jobs=[("1", "ready"), *f.jobs[1:]]),
        "each job succeeded",
        "not promised: job 1 ready",
    ),
    "the hopeless job succeeded": (
        lambda f: replace(f, jobs=[*f.jobs[:3], ("4", "succeeded")]),
        "each job succeeded",
        "missing: job 4 dead",
    ),
    "a job was ended twice": (
        lambda f: replace(f, endings={**f.endings, "3": 2}),
        "exactly one run",
        "not promised: end of job 3",
    ),
    "an order was paid twice": (
        lambda f: replace(f, payments=[3, 3]),
        "paid once",
        "not promised: payment of order 3",
    ),
    "a picture is missing": (
        lambda f: replace(f, pictures={(3, 480)}),
        "has its pictures",
        "missing: picture 3 120",
    ),
    "the killed worker ended what it held": (
        lambda f: replace(f, ended_by_killed={"2"}),
        "killed worker",
        "missing: job 2",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_proof_fails_when(what: str, ledger: Ledger, found: Found) -> None:
    change, claim, difference = BREAKS[what]
    broken = [check for check in prove(ledger, change(found), WIDTHS) if not check.holds]
    assert any(claim in check.claim for check in broken), broken
    assert any(line.startswith(difference) for check in broken for line in check.differences), broken


def test_a_mail_sent_twice_under_one_message_id_is_one_mail_and_is_told(ledger: Ledger, found: Found) -> None:
    twice = [*found.letters, WELCOME]
    checks = prove(ledger, replace(found, letters=twice), WIDTHS)
    assert all(check.holds for check in checks)
    assert sent_twice(twice) == 1
    assert "1 mail sent twice, by design of at-least-once" in report(checks, twice)[1]


def test_the_report_names_what_differs(ledger: Ledger, found: Found) -> None:
    proved, text = report(prove(ledger, replace(found, letters=[CONFIRMATION]), WIDTHS), [CONFIRMATION])
    assert not proved
    assert "missing: mail welcome 7 <job-1@shop.example>" in text
    assert "Not proved." in text


def test_a_proof_does_not_count_when_something_else_went_wrong(ledger: Ledger, found: Found) -> None:
    proved, text = report(prove(ledger, found, WIDTHS), list(found.letters), "A worker ended by itself.")
    assert not proved
    assert "Not proved. A worker ended by itself." in text


def report(checks: list[Check], letters: list[Letter], problem: str | None = None) -> tuple[bool, str]:
    output = io.StringIO()
    proved = report_proof(Console(file=output, width=150), checks, letters, problem)
    return proved, output.getvalue()


class Demonstration:
    """A real run; reads its output line by line."""

    def __init__(self, *arguments: str) -> None:
        version = os.environ.get("PGQUEUE_TEST_POSTGRES", "18")
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "examples.shop", "--postgres", version, "--no-kill", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, words: str) -> str:
        """Return the output up to a line with these words."""
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if words in line:
                return text
        raise AssertionError(f"{words!r} never came:\n{text}")

    def children(self) -> list[psutil.Process]:
        """Return every process that it started, directly or not."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the rest of the output."""
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


@pytest.fixture
def demonstrate() -> Iterator[Callable[..., Demonstration]]:
    started: list[Demonstration] = []

    def start(*arguments: str) -> Demonstration:
        started.append(Demonstration(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        one.process.communicate(timeout=60)


@pytest.mark.slow
def test_a_short_run_proves_everything(demonstrate: Callable[..., Demonstration]) -> None:
    code, text = demonstrate("--orders", "12", "--seconds", "1", "--delay", "1s").end()
    assert code == 0, text
    assert re.search("committed orders = confirmation mails delivered +10 +10", text)
    assert re.search("committed sign-ups = welcome mails delivered +10 +10", text)
    assert "Proved." in text


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind(demonstrate: Callable[..., Demonstration]) -> None:
    shop = demonstrate("--seconds", "60")
    shop.read_until("business")
    children = shop.children()
    assert len(children) > 3
    shop.process.send_signal(signal.SIGINT)
    code, rest = shop.end()
    assert code == 130, rest
    assert "Nothing was left running" in rest
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.slow
def test_a_worker_that_dies_unasked_fails_the_demonstration(demonstrate: Callable[..., Demonstration]) -> None:
    shop = demonstrate("--seconds", "60")
    shop.read_until("business")
    children = shop.children()
    next(child for child in children if "examples.shop.tasks:pgq" in child.cmdline()).kill()
    code, rest = shop.end()
    assert code == 1, rest
    assert "A worker ended by itself." in rest
    assert psutil.wait_procs(children, timeout=10)[1] == []
