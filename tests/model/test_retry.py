"""When a failed job runs again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pgqueue import InvalidOption, RetryPolicy, TaskError
from pgqueue.model.retry import asynq_delay


@pytest.mark.parametrize("retried", [0, 1, 2, 5, 10, 24])
def test_the_delay_is_the_fourth_power_and_fifteen_and_jitter_in_steps_of_the_attempt(retried: int) -> None:
    random.seed(retried)
    seen = {asynq_delay(retried) for _ in range(2000)}
    least = retried**4 + 15
    assert seen == {least + jitter * (retried + 1) for jitter in range(30)}


def test_twenty_five_retries_take_about_three_weeks() -> None:
    days = sum(retried**4 + 15 + 14.5 * (retried + 1) for retried in range(25)) / 86400
    assert 20 <= days <= 22


def test_given_delays_are_used_in_order_and_the_last_one_repeats() -> None:
    policy = RetryPolicy(delays=["10s", 60, "1h"])
    assert [policy.pause(retried, ValueError()) for retried in range(5)] == [10, 60, 3600, 3600, 3600]


def test_without_delays_the_formula_is_used() -> None:
    assert 31 <= RetryPolicy(max_retries=3).pause(2, ValueError()) <= 31 + 29 * 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_retries": -1}, InvalidOption),
        ({"max_retries": 32768}, InvalidOption),
        ({"max_retries": True}, InvalidOption),
        ({"max_retries": "3"}, InvalidOption),
        ({"delays": []}, TaskError),
        ({"delays": ["10s", -1]}, InvalidOption),
        ({"delays": ["soon"]}, InvalidOption),
        ({"give_up_on": (ValueError("an instance"),)}, TaskError),
        ({"give_up_on": (int,)}, TaskError),
    ],
    ids=repr,
)
def test_a_policy_that_cannot_work_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        RetryPolicy(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"delays": "10s"}, {"delays": 10}, {"give_up_on": ValueError}, {"give_up_on": "ValueError"}],
    ids=repr,
)
def test_a_single_value_in_place_of_a_list_is_refused_with_a_sentence(arguments: dict[str, Any]) -> None:
    with pytest.raises((TaskError, InvalidOption)):
        RetryPolicy(**arguments)


def test_a_policy_without_retries_is_allowed() -> None:
    assert RetryPolicy(max_retries=0).max_retries == 0
