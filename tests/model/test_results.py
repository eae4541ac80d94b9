"""What a function returned, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pgqueue.model.errors import InvalidPayload
from pgqueue.model.payload import LARGEST_RESULT, CallShape

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass
class Report:
    """What a task returns."""

    day: date
    share: float = 0.0


def shape(function: Callable[..., Any]) -> CallShape:
    return CallShape(function, context=False)


def nothing() -> None: ...


def unannotated():  # type: ignore[no-untyped-def]
    """Say nothing of what is returned."""


def unresolvable() -> Fraction:  # type: ignore[empty-body]
    """Return what does not exist at run time."""


def ambiguous() -> datetime | str:  # type: ignore[empty-body]
    """Return what a reader could not tell apart."""


async def reported() -> Report:  # type: ignore[empty-body]
    """Return an object, later."""


def shared() -> float | None:
    """Return a number."""


def test_an_object_comes_back_by_the_return_annotation() -> None:
    text = shape(reported).encode_result(Report(date.max, 0.5))
    assert text == '{"day":"9999-12-31","share":0.5}'
    assert shape(reported).decode_result(json.loads(text)) == Report(date.max, 0.5)


@pytest.mark.parametrize("function", [nothing, unannotated, reported, shared])
def test_none_is_no_result(function: Callable[..., Any]) -> None:
    assert shape(function).encode_result(None) is None
    assert shape(function).decode_result(None) is None


@pytest.mark.parametrize("function", [nothing, unannotated, unresolvable, ambiguous])
def test_without_an_annotation_that_says_more_a_result_is_plain_json(function: Callable[..., Any]) -> None:
    value = {"a": [1, 2.5, None, "x"]}
    text = shape(function).encode_result(value)
    assert text is not None
    assert shape(function).decode_result(json.loads(text)) == value
    with pytest.raises(InvalidPayload) as refusal:
        shape(function).encode_result(datetime.min)
    assert "annotate the return type" in refusal.value.remedy


def test_a_whole_float_comes_back_as_a_float() -> None:
    back = shape(shared).decode_result(10**16)  # as jsonb gives 1e16 back
    assert (back, type(back)) == (1e16, float)


@pytest.mark.parametrize(
    "value", [math.nan, "\0", "\ud800", {1: 2}, object(), 10**5000, {"a": {1}}], ids=lambda value: type(value).__name__
)
def test_a_result_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        shape(unannotated).encode_result(value)
    assert refusal.value.problem.startswith("unannotated: ")
    assert "the result" in refusal.value.problem


def test_a_result_of_another_type_than_annotated_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="the result='x' is of type str, not Report"):
        shape(reported).encode_result("x")
    with pytest.raises(InvalidPayload, match=r"the result\.day='x' is of type str, not date"):
        shape(reported).encode_result(Report("x"))  # type: ignore[arg-type]


def test_a_stored_result_that_no_longer_fits_is_one_clear_error() -> None:
    with pytest.raises(InvalidPayload, match=r"the stored result\.day='x' is not the text of a date"):
        shape(reported).decode_result({"day": "x"})


def test_the_largest_result_is_taken_and_one_byte_more_is_not() -> None:
    assert LARGEST_RESULT == 64 * 1024
    largest = "x" * (LARGEST_RESULT - 2)
    assert shape(unannotated).encode_result(largest) == f'"{largest}"'
    with pytest.raises(InvalidPayload, match=str(LARGEST_RESULT + 1)):
        shape(unannotated).encode_result(largest + "x")
