"""Does a value fit an annotation?"""

from __future__ import annotations

import typing
from collections import abc
from typing import Any, Literal, NewType, Optional, TypeVar

import pytest

from pgqueue.model.annotations import fits

UserId = NewType("UserId", int)
T = TypeVar("T")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int),
        (1, float),
        (1.5, float),
        ("x", str),
        (True, bool),
        (None, None),
        (None, type(None)),
        ([1, "x"], list),
        ((1,), list),
        ({"a": 1}, dict),
        ([1, 2], list[int]),
        ([], list[int]),
        ((1, 2), abc.Sequence[int]),
        ([[1], []], list[list[int]]),
        ({"a": 1}, dict[str, int]),
        ({"a": [1]}, abc.Mapping[str, list[int]]),
        (1, int | None),
        (None, int | None),
        (None, Optional[str]),  # noqa: UP045 - the older spelling is what is tested
        ("b", Literal["a", "b"]),
        (1, Literal[1, 2]),
        (1, UserId),
        ("anything", Any),
        ("anything", object),
        ("anything", T),
        ([1], typing.List),  # noqa: UP006
        ({"a": 1}, typing.Dict),  # noqa: UP006
        ([1], typing.Sequence),
        ({"a": 1}, typing.Mapping),
    ],
    ids=repr,
)
def test_a_value_that_fits_is_let_through(value: object, annotation: Any) -> None:
    assert fits(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1", int),
        (True, int),
        (1.0, int),
        (None, int),
        (True, float),
        ("1", float),
        (1, str),
        (b"x", str),
        (None, str),
        (1, bool),
        ("", None),
        (0, None),
        ("ab", list),
        ({1}, list),
        ([], dict),
        (["1"], list[int]),
        ([1, True], list[int]),
        ("ab", list[str]),
        ([[1], ["x"]], list[list[int]]),
        ({"a": "1"}, dict[str, int]),
        ([("a", 1)], dict[str, int]),
        ({"one": 1}, dict[int, int]),
        ("x", int | None),
        ("c", Literal["a", "b"]),
        (True, Literal[1]),
        (1, Literal[True]),
    ],
    ids=repr,
)
def test_a_value_that_does_not_fit_is_seen(value: object, annotation: Any) -> None:
    assert not fits(value, annotation)
