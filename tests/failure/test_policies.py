"""From an error and a policy to what becomes of the job, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue import Exponential, GiveUp, InvalidArguments, RetryAfter, RetryPolicy, SignatureMismatch, Snooze
from pgqueue.worker.verdicts import LAST_MISMATCH, judge
from tests.worker.fakes import job_of

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)


class Busy(Exception):
    """Somebody else asks for patience."""


class VeryBusy(Busy):
    """One of its kind."""


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", errors)


def policy(**options: Any) -> RetryPolicy:
    return RetryPolicy(**{"delays": [7], **options})


BY_CLASS = [
    ("any error is tried again", ValueError(), policy(), "retry"),
    ("one of retry_on", ConnectionError(), policy(retry_on=(OSError,)), "retry"),
    ("none of retry_on", ValueError(), policy(retry_on=(OSError,)), "dead"),
    ("an empty retry_on", ValueError(), policy(retry_on=()), "dead"),
    ("of both lists", FileNotFoundError(), policy(retry_on=(OSError,), give_up_on=(FileNotFoundError,)), "dead"),
    ("of both lists, the other way", OSError(), policy(retry_on=(FileNotFoundError,), give_up_on=(OSError,)), "dead"),
    ("uncounted", VeryBusy(), policy(uncounted=(Busy,)), "snooze"),
    ("uncounted and not in retry_on", Busy(), policy(uncounted=(Busy,), retry_on=(OSError,)), "snooze"),
    ("uncounted and given up", Busy(), policy(uncounted=(Busy,), give_up_on=(Busy,)), "dead"),
    ("what is asked for goes first", RetryAfter(7), policy(give_up_on=(Exception,)), "retry"),
    ("what is asked for needs no list", RetryAfter(7), policy(retry_on=()), "retry"),
    ("a snooze asked for goes first", Snooze(7), policy(give_up_on=(Exception,), retry_on=()), "snooze"),
    ("to give up wins over uncounted", GiveUp("no"), policy(uncounted=(Exception,)), "dead"),
    ("no Exception is in Exception", SystemExit(), policy(retry_on=(Exception,)), "dead"),
    ("a timeout is an error like others", TimeoutError(), policy(retry_on=(Busy,)), "dead"),
]
GROUPS = [
    ("a group of one is that one", group(Snooze(7)), policy(), "snooze"),
    ("groups of one in groups of one", group(group(RetryAfter(7))), policy(retry_on=()), "retry"),
    ("one to give up on is enough", group(OSError(), KeyError()), policy(give_up_on=(KeyError,)), "dead"),
    ("however deep it is", group(OSError(), group(Busy(), group(KeyError()))), policy(give_up_on=(KeyError,)), "dead"),
    ("GiveUp among others", group(OSError(), GiveUp("no")), policy(), "dead"),
    ("all in retry_on", group(OSError(), TimeoutError()), policy(retry_on=(OSError,)), "retry"),
    ("one not in retry_on", group(OSError(), KeyError()), policy(retry_on=(OSError,)), "dead"),
    ("all uncounted", group(Busy(), VeryBusy()), policy(uncounted=(Busy,)), "snooze"),
    ("one that counts", group(Busy(), OSError()), policy(uncounted=(Busy,)), "retry"),
    ("uncounted beside retried", group(Busy(), OSError()), policy(uncounted=(Busy,), retry_on=(OSError,)), "retry"),
    ("Snooze among others is a failure", group(Snooze(9), OSError()), policy(retry_on=(OSError,)), "retry"),
    ("the group itself is named", group(OSError(), KeyError()), policy(give_up_on=(BaseExceptionGroup,)), "dead"),
    (
        "the group itself is to be retried",
        group(OSError(), KeyError()),
        policy(retry_on=(BaseExceptionGroup,)),
        "retry",
    ),
]


@pytest.mark.parametrize(
    ("error", "by", "verdict"), [case[1:] for case in BY_CLASS + GROUPS], ids=[case[0] for case in BY_CLASS + GROUPS]
)
def test_the_verdict_follows_the_classes_of_the_policy(error: BaseException, by: RetryPolicy, verdict: str) -> None:
    judgement = judge(error, job_of(1, attempt=0, max_retries=1), by)
    assert (judgement.verdict, judgement.delay) == (verdict, 0 if verdict == "dead" else 7)
    assert judgement.mishap is None


def test_only_what_is_raised_counts_and_not_its_cause() -> None:
    error = ValueError()
    error.__cause__ = GiveUp("no")
    assert judge(error, job_of(1), policy(give_up_on=(GiveUp,))).verdict == "retry"


def test_uncounted_errors_go_on_when_the_attempts_are_used_up_and_others_do_not() -> None:
    by = policy(uncounted=(Busy,))
    assert judge(Busy(), job_of(1, attempt=3, max_retries=3), by).verdict == "snooze"
    assert judge(ValueError(), job_of(1, attempt=3, max_retries=3), by).verdict == "dead"
    assert judge(RetryAfter(1), job_of(1, attempt=3, max_retries=3), by).verdict == "dead"


def test_a_mismatch_of_parameters_is_handed_back_for_an_hour_and_then_an_error() -> None:
    error = SignatureMismatch("send needs 'a', unlike the stored arguments.", "Run another version.")
    by = policy(give_up_on=(InvalidArguments,))
    judged = [judge(error, job_of(1, run=run), by) for run in (1, 3, LAST_MISMATCH - 1, LAST_MISMATCH, 1000)]
    assert [(j.verdict, j.delay) for j in judged] == [
        ("release", 1),
        ("release", 4),
        ("release", 60),
        ("retry", 7),
        ("retry", 7),
    ]
    assert all(json.loads(j.error or "")["type"] == "pgqueue.SignatureMismatch" for j in judged)
    pauses = [judge(error, job_of(1, run=run), by).delay for run in range(1, LAST_MISMATCH)]
    assert 3000 < sum(pauses) < 4000
    last = judge(error, job_of(1, run=LAST_MISMATCH, attempt=2, max_retries=2), by)
    assert last.verdict == "dead"


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_the_delay_function_is_told_the_retries_so_far_and_the_error(seen: int) -> None:
    asked: list[tuple[int, BaseException]] = []

    def delay(retried: int, error: BaseException) -> timedelta:
        asked.append((retried, error))
        return timedelta(minutes=retried + 1)

    error = Busy()
    judgement = judge(error, job_of(1, attempt=seen), RetryPolicy(delay=delay))
    assert (judgement.verdict, judgement.delay, asked) == ("retry", 60.0 * (seen + 1), [(seen, error)])


def _raises(error: BaseException) -> Any:
    def delay(retried: int, failure: BaseException) -> float:
        raise error

    return delay


def _recurses(retried: int, failure: BaseException) -> float:
    return _recurses(retried, failure)


BROKEN = {
    "ValueError": _raises(ValueError("broken")),
    "SystemExit": _raises(SystemExit(3)),
    "KeyboardInterrupt": _raises(KeyboardInterrupt()),
    "asyncio.exceptions.CancelledError": _raises(asyncio.CancelledError()),
    "RecursionError": _recurses,
    "ZeroDivisionError": lambda retried, failure: 1 / retried,
    "pgqueue.InvalidOption": lambda retried, failure: "soon",
}
WRONG: Sequence[Any] = (None, -1, float("nan"), float("inf"), True, [], "", 1e12)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("error", [OSError("away"), Busy("uncounted")], ids=repr)
def test_a_delay_function_that_raises_costs_neither_the_job_nor_its_error(kind: str, error: Exception) -> None:
    judgement = judge(error, job_of(1, attempt=0), RetryPolicy(delay=BROKEN[kind], uncounted=(Busy,)))
    assert judgement.verdict == ("snooze" if isinstance(error, Busy) else "retry")
    assert 15 <= judgement.delay <= 15 + 29
    assert json.loads(judgement.error or "")["message"] == str(error)
    assert json.loads(judgement.mishap or "")["type"] == kind


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_delay_function_that_returns_no_length_of_time_is_told(value: Any) -> None:
    judgement = judge(OSError(), job_of(1, attempt=0), RetryPolicy(delay=lambda retried, error: value))
    assert judgement.verdict == "retry"
    assert 15 <= judgement.delay <= 15 + 29
    assert "What delay returned" in json.loads(judgement.mishap or "")["message"]


def test_a_delay_function_is_not_asked_where_the_job_ends() -> None:
    by = RetryPolicy(delay=_raises(AssertionError("asked")), give_up_on=(KeyError,))
    for error, attempt in [(KeyError(), 0), (OSError(), 25), (GiveUp("no"), 0)]:
        judgement = judge(error, job_of(1, attempt=attempt, max_retries=25), by)
        assert (judgement.verdict, judgement.mishap) == ("dead", None)


shares = st.floats(0, 1)
lengths = st.floats(0, 86400)


@repeatable
@given(first=lengths, factor=st.floats(1, 1000), most=lengths, jitter=shares, retried=st.integers(0, 32766))
def test_exponential_pauses_stay_within_the_longest_and_lose_at_most_the_jitter(
    first: float, factor: float, most: float, jitter: float, retried: int
) -> None:
    first, most = min(first, most), max(first, most)
    pause = Exponential(first, factor, most, jitter).pause(retried)
    whole = Exponential(first, factor, most, 0).pause(retried)
    assert pause >= max(0.0, whole * (1 - jitter) - 1e-6)
    assert pause <= whole <= most


@repeatable
@given(first=lengths, factor=st.floats(1, 1000), most=lengths)
def test_exponential_pauses_without_jitter_never_shrink(first: float, factor: float, most: float) -> None:
    growing = Exponential(min(first, most), factor, max(first, most), jitter=0)
    pauses = [growing.pause(retried) for retried in [*range(40), 1000, 32766]]
    assert pauses == sorted(pauses)
    assert pauses[0] == min(first, most)


@repeatable
@given(delays=st.lists(lengths, min_size=1, max_size=5), jitter=shares, retried=st.integers(0, 32766))
def test_the_jitter_of_a_table_takes_off_at_most_its_share(delays: list[float], jitter: float, retried: int) -> None:
    whole = delays[min(retried, len(delays) - 1)]
    pause = RetryPolicy(delays=delays, jitter=jitter).pause(retried, OSError())
    assert whole * (1 - jitter) - 1e-6 <= pause <= whole


@repeatable
@given(retried=st.integers(0, 32766))
def test_the_formula_grows_even_at_its_bounds(retried: int) -> None:
    pause = RetryPolicy().pause(retried, OSError())
    assert retried**4 + 15 <= pause <= retried**4 + 15 + 29 * (retried + 1)


def test_exponential_pauses_are_those_of_the_page() -> None:
    growing = Exponential("2s", factor=2.0, most="1m", jitter=0)
    assert [growing.pause(retried) for retried in range(7)] == [2, 4, 8, 16, 32, 60, 60]


def test_jitter_spreads_the_pauses_of_jobs_that_failed_together() -> None:
    assert len({Exponential("10s").pause(3) for _ in range(50)}) > 10
    assert len({RetryPolicy(delays=["10s"], jitter=0.5).pause(0, OSError()) for _ in range(50)}) > 10
