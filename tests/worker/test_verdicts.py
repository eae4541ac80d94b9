"""From what a handler raised to what becomes of its job."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from pgqueue import GiveUp, RetryAfter, RetryPolicy, Snooze
from pgqueue.worker.verdicts import LONGEST_MESSAGE, LONGEST_TRACEBACK, describe, judge, unknown_task_pause
from tests.worker.fakes import job_of

POLICY = RetryPolicy(max_retries=2, delays=[5, "1m"], give_up_on=(LookupError, KeyboardInterrupt))


@pytest.mark.parametrize(
    ("error", "attempt", "verdict", "delay"),
    [
        (ValueError(), 0, "retry", 5),
        (ValueError(), 1, "retry", 60),
        (ValueError(), 2, "dead", 0),
        (ValueError(), 3, "dead", 0),
        (asyncio.CancelledError(), 0, "retry", 5),
        (SystemExit(), 0, "retry", 5),
        (RetryAfter("10s"), 0, "retry", 10),
        (RetryAfter(timedelta(hours=1)), 1, "retry", 3600),
        (RetryAfter("10s"), 2, "dead", 0),
        (RetryAfter(-1), 0, "retry", 5),
        (Snooze(0.5), 0, "snooze", 0.5),
        (Snooze("10s"), 2, "snooze", 10),
        (Snooze("10s"), 30, "snooze", 10),
        (Snooze("tomorrow"), 0, "retry", 5),
        (Snooze(True), 2, "dead", 0),
        (GiveUp("no"), 0, "dead", 0),
        (KeyError("x"), 0, "dead", 0),
        (KeyboardInterrupt(), 0, "dead", 0),
    ],
)
def test_the_verdict_and_the_delay(error: BaseException, attempt: int, verdict: str, delay: float) -> None:
    judgement = judge(error, job_of(1, attempt=attempt, max_retries=2), POLICY)
    assert (judgement.verdict, judgement.delay) == (verdict, delay)
    assert judgement.error is not None


def test_how_often_is_the_jobs_own_number() -> None:
    assert judge(ValueError(), job_of(1, attempt=2, max_retries=9), POLICY).verdict == "retry"
    assert judge(ValueError(), job_of(1, attempt=0, max_retries=0), POLICY).verdict == "dead"


def test_the_pause_of_an_unknown_task_doubles_up_to_a_minute() -> None:
    pauses = [unknown_task_pause(job_of(1, run=run)) for run in (1, 2, 3, 4, 5, 6, 7, 8, 1000)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_error_is_described_by_type_message_and_traceback() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        described = json.loads(describe(error))
    assert (described["type"], described["message"]) == ("KeyError", "'x'")
    assert described["traceback"].startswith("Traceback")
    assert described["traceback"].rstrip().endswith("KeyError: 'x'")


def test_the_name_of_an_error_says_where_it_comes_from() -> None:
    assert json.loads(describe(json.JSONDecodeError("bad", "x", 0)))["type"] == "json.decoder.JSONDecodeError"


def test_a_long_error_keeps_the_start_of_its_message_and_the_end_of_its_traceback() -> None:
    described = json.loads(describe(ValueError("a" * 100_000 + "z" * 100_000)))
    assert described["message"] == "a" * LONGEST_MESSAGE
    assert len(described["traceback"]) == LONGEST_TRACEBACK
    assert described["traceback"].rstrip().endswith("z")


def test_what_jsonb_cannot_hold_is_replaced() -> None:
    described = describe(ValueError("a\0b\udc80c\ud83d\ude00d"))
    assert "\\u0000" not in described
    assert json.loads(described)["message"] == "a\ufffdb\ufffdc\U0001f600d"
