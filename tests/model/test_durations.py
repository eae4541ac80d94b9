"""Lengths of time as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.model.durations import seconds
from pgqueue.model.errors import InvalidOption

HUNDRED_YEARS = 36_525 * 86400
repeatable = settings(derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("10s", 10),
        ("250ms", 0.25),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        (" 2d ", 172800),
        ("1.5h", 5400),
        ("0s", 0),
        (10, 10),
        (0, 0),
        (0.5, 0.5),
        (timedelta(minutes=2), 120),
        (timedelta(0), 0),
        (HUNDRED_YEARS, HUNDRED_YEARS),
    ],
)
def test_a_length_of_time_is_read(written: object, length: float) -> None:
    assert seconds(written, "delay") == pytest.approx(length)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "10",
        "s",
        "-5s",
        "+5s",
        "10 seconds",
        "1h30",
        "10s!",
        "1e3s",
        "5M",
        "\0",
        "1,5s",
        "9" * 400 + "d",
        -1,
        -0.001,
        True,
        False,
        None,
        float("nan"),
        float("inf"),
        float("-inf"),
        HUNDRED_YEARS + 1,
        10**400,
        timedelta(seconds=-1),
        timedelta.max,
        b"10s",
        [10],
        1j,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_length_of_time_is_refused_by_name(written: object) -> None:
    with pytest.raises(InvalidOption) as refusal:
        seconds(written, "delay")
    assert refusal.value.problem.startswith("delay=")
    assert '"10s"' in refusal.value.remedy


@repeatable
@given(st.integers(0, 400), st.integers(0, 30), st.integers(0, 90), st.integers(0, 90), st.integers(0, 2000))
def test_parts_add_up(days: int, hours: int, minutes: int, rest: int, thousandths: int) -> None:
    written = f"{days}d{hours}h{minutes}m{rest}s{thousandths}ms"
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=rest, milliseconds=thousandths)
    assert seconds(written, "timeout") == pytest.approx(length.total_seconds())
    assert seconds(length, "timeout") == length.total_seconds()


@repeatable
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with suppress(InvalidOption):
        assert 0 <= seconds(text, "delay") <= HUNDRED_YEARS
