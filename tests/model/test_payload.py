"""From a call to a stored payload and back."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.model.errors import InvalidArguments, InvalidPayload, SignatureMismatch, TaskError
from pgqueue.model.payload import LARGEST_PAYLOAD, CallShape

if TYPE_CHECKING:
    from fractions import Fraction  # a name that does not exist at run time

repeatable = settings(derandomize=True, deadline=None, database=None)
# What jsonb can hold and give back: no NUL, no lone surrogate.
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


def anything(first: Any, second: Any = 0, *rest: Any, only: Any = None, **more: Any) -> None:
    """Take every kind of parameter."""


def positional(first: Any, /, second: Any) -> None:
    """Take a parameter that has no name for callers."""


def plain(user_id: int, email: str = "nobody", *, copies: int = 1) -> None:
    """Take what most tasks take."""


def shape_of(function: Callable[..., Any], *, context: bool = False) -> CallShape:
    return CallShape(function, context=context)


@repeatable
@given(values, st.lists(values, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "ü"]), values))
def test_a_call_comes_back_as_it_was_made(first: Any, rest: list[Any], more: dict[str, Any]) -> None:
    shape = shape_of(anything)
    args, kwargs = shape.decode(shape.encode((first, 1, *rest), {"only": first, **more}))
    assert args == (first, 1, *rest)
    assert kwargs == {"only": first, **more}


@repeatable
@given(values, values)
def test_positional_only_parameters_come_back_positional(first: Any, second: Any) -> None:
    shape = shape_of(positional)
    args, kwargs = shape.decode(shape.encode((first,), {"second": second}))
    assert (*args, *kwargs.values()) == (first, second)


def test_arguments_are_stored_by_name_and_defaults_are_left_to_the_worker() -> None:
    stored = json.loads(shape_of(plain).encode((1,), {"copies": 2}))
    assert stored == {"user_id": 1, "copies": 2}


def test_the_context_is_no_argument() -> None:
    def work(context: object, user_id: int) -> None: ...

    shape = shape_of(work, context=True)
    assert json.loads(shape.encode((7,), {})) == {"user_id": 7}
    with pytest.raises(InvalidArguments, match="too many"):
        shape.encode((object(), 7), {})


def test_a_context_task_without_a_parameter_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TaskError, match="has no parameter"):
        shape_of(lambda: None, context=True)


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "missing a required argument: 'user_id'"),
        ((1, "a", 3), {}, "too many positional arguments"),
        ((1,), {"mail": "a"}, "unexpected keyword argument 'mail'"),
        ((1,), {"user_id": 2}, "multiple values for argument 'user_id'"),
        (("1",), {}, "user_id='1' is of type str, not int"),
        ((True,), {}, "user_id=True is of type bool, not int"),
        ((None,), {}, "user_id=None is of type NoneType, not int"),
        ((1, b"a"), {}, "email=b'a' is of type bytes, not str"),
        ((1, "x"), {"copies": 1.5}, "copies=1.5 is of type float, not int"),
        ((1, ["x" * 1000]), {}, "..."),
    ],
)
def test_a_call_that_does_not_fit_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArguments) as refusal:
        shape_of(plain).encode(args, kwargs)
    assert named in refusal.value.problem
    assert len(refusal.value.problem) < 300
    assert "user_id: " in refusal.value.remedy


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    outermost: list[Any] = []
    for _ in range(depth):
        outermost = [outermost]
    return outermost


def circle() -> list[Any]:
    """Return a list that holds itself."""
    itself: list[Any] = []
    itself.append(itself)
    return itself


@dataclass
class User:
    """Something that JSON does not know."""

    name: str


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        [1, {"deep": math.nan}],
        "a\0b",
        {"a\0b": 1},
        "\\\0",
        ["\\\\", "\0"],
        "\ud800",
        {"\udfff": 1},
        object(),
        User("Ada"),
        {1, 2},
        b"bytes",
        1j,
        Decimal(1),
        datetime(2030, 1, 1, tzinfo=UTC),
        UUID(int=1),
        {(1, 2): "tuple key"},
        circle(),
        nested(100_000),
        10**5000,
        "x" * LARGEST_PAYLOAD,
        "é" * (LARGEST_PAYLOAD // 2),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_cannot_be_stored_is_refused_before_it_reaches_the_database(value: object) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        shape_of(anything).encode((value,), {})
    assert refusal.value.problem.startswith("anything: ")
    assert len(str(refusal.value)) < 400


def test_the_largest_payload_is_taken_and_one_byte_more_is_not() -> None:
    shape = shape_of(anything)
    room = LARGEST_PAYLOAD - len('{"first":""}')
    assert len(shape.encode(("x" * room,), {})) == LARGEST_PAYLOAD
    with pytest.raises(InvalidPayload, match=str(LARGEST_PAYLOAD + 1)):
        shape.encode(("x" * (room + 1),), {})


def test_text_that_only_looks_like_an_escaped_nul_is_taken() -> None:
    shape = shape_of(anything)
    for looks in ("\\u0000", "\\\\u0000", "u0000", "\\\\\\u0000", "\\x00"):
        assert shape.decode(shape.encode((looks,), {}))[0][0] == looks


@pytest.mark.parametrize("key", [1, 1.5, True, None], ids=repr)
def test_a_key_that_would_come_back_as_text_is_refused(key: object) -> None:
    with pytest.raises((InvalidPayload, InvalidArguments)):
        shape_of(anything).encode(({key: "value"},), {})


def test_an_annotation_that_does_not_exist_at_run_time_is_not_checked() -> None:
    def work(amount: Fraction, user_id: int) -> None: ...

    assert json.loads(shape_of(work).encode((1, 2), {})) == {"amount": 1, "user_id": 2}


@pytest.mark.parametrize("name", ["self", "args", "kwargs", "name", "handle", "task", "job"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def work({name}): ...", scope)
    shape = shape_of(scope["work"])
    assert shape.decode(shape.encode((), {name: 1})) == ((), {name: 1})


@pytest.mark.parametrize(
    ("function", "stored", "told"),
    [
        (plain, {"user_id": 1, "mail": "a"}, "plain has no parameter 'mail', unlike"),
        (plain, {"email": "a"}, "plain needs 'user_id', unlike"),
        (plain, {"b": 1, "a": 2}, "plain has no parameter 'a', 'b' and needs 'user_id', unlike"),
        (positional, {"first": 1, "second": 2, "gone": 3}, "positional has no parameter 'gone', unlike"),
        (positional, {"second": 2}, "positional needs 'first', unlike"),
        (anything, {"second": 1}, "anything needs 'first', unlike"),
        (anything, {"first": 1, "gone": 1}, "anything has no parameter 'gone', unlike"),
    ],
)
def test_stored_parameters_that_are_not_those_of_the_signature_are_named(
    function: Callable[..., Any], stored: dict[str, Any], told: str
) -> None:
    with pytest.raises(SignatureMismatch, match=told) as refusal:
        shape_of(function).decode(json.dumps(stored))
    assert str(inspect.signature(function)) in refusal.value.remedy


def test_other_parameters_are_told_before_a_value_that_does_not_convert() -> None:
    def work(day: datetime) -> None: ...

    with pytest.raises(SignatureMismatch):
        shape_of(work).decode('{"day": "never", "gone": 1}')
    with pytest.raises(InvalidArguments):
        shape_of(work).decode('{"day": "never"}')


def test_parameters_with_a_default_and_collected_ones_may_be_left_out() -> None:
    assert shape_of(plain).decode('{"user_id": 1}') == ((), {"user_id": 1})
    assert shape_of(anything).decode('{"first": 1}') == ((1,), {})
