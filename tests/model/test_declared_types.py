"""Which annotations are taken, need no converter, or are refused when the task is declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NewType,
)
from uuid import UUID

import pytest

from pgqueue.model.converters import converter_of
from pgqueue.model.errors import InvalidPayload, TaskError
from pgqueue.model.payload import CallShape
from tests.model.kinds import (
    ID,
    NOW,
    Box,
    Color,
    Dates,
    Day,
    Level,
    Line,
    Order,
    Right,
    T,
    returned,
    shape_for,
)

if TYPE_CHECKING:
    from fractions import Fraction  # a name that does not exist at run time


def test_a_named_type_is_what_it_stands_for() -> None:
    assert returned([date.min], Dates) == [date.min]
    assert returned({date.min: date.max}, dict[Day, Day]) == {date.min: date.max}


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        float,
        str,
        bool,
        None,
        Any,
        object,
        T,
        list,
        dict,
        list[int],
        list[float],
        dict[str, Any],
        dict[str, list[int | None]],
        int | str | None,
        Literal["a", 1],
        Annotated[int, "x"],
        NewType("UserId", int),
        type[datetime],
        Callable[[datetime], date],
        complex,
    ],
    ids=str,
)
def test_plain_json_has_no_converter(annotation: Any) -> None:
    assert converter_of(annotation) is None


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (datetime | str, "datetime.datetime | str"),
        (datetime | date, "more than one"),
        (list[UUID | str], "UUID | str"),
        (dict[str, Decimal | str | None], "more than one"),
        (Level | int, "more than one"),
        (Right | float, "more than one"),
        (Line | Order, "more than one"),
        (Line | dict[str, int], "more than one"),
        (set[int] | list[int], "more than one"),
        (tuple[int, ...] | list[int], "more than one"),
        (datetime | Any, "more than one"),
        (Literal["a", Color.RED] | str, "more than one"),
        (Box[datetime | str], "datetime.datetime | str"),
        (tuple[int, *tuple[str, ...]], "not supported"),
    ],
    ids=str,
)
def test_a_type_that_cannot_be_read_for_certain_is_refused_when_the_task_is_declared(
    annotation: Any, named: str
) -> None:
    with pytest.raises(TaskError) as refusal:
        shape_for(annotation)
    assert refusal.value.problem.startswith("shape_for.<locals>.take: the parameter value: ")
    assert named in refusal.value.problem
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "annotation",
    [datetime | None, datetime | int, Decimal | int | bool, Line | str, Level | str | None, Line | list[int]],
    ids=str,
)
def test_a_union_whose_members_are_stored_differently_is_taken(annotation: Any) -> None:
    assert converter_of(annotation) is not None


@dataclass
class Unresolved:
    """A field is of a type that does not exist at run time."""

    amount: Fraction


@dataclass
class WithInput:
    """Its constructor needs what is no field."""

    side: int
    scale: InitVar[int]

    def __post_init__(self, scale: int) -> None:
        self.side *= scale


@dataclass(init=False)
class Positional:
    """Its constructor takes no field by name."""

    side: int

    def __init__(self, length: int) -> None:
        self.side = length


@dataclass
class Growing(Generic[T]):
    """A type without end."""

    inner: Growing[list[T]] | None = None


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (Unresolved, "Unresolved cannot be resolved (name 'Fraction' is not defined)"),
        (list[Unresolved], "Unresolved"),
        (WithInput, "differ in scale"),
        (Positional, "differ in length, side"),
        (Growing[int], "more than 1000 types"),
    ],
    ids=str,
)
def test_a_class_that_cannot_be_made_again_is_refused_when_the_task_is_declared(annotation: Any, named: str) -> None:
    with pytest.raises(TaskError) as refusal:
        shape_for(annotation)
    assert named in refusal.value.problem


def test_a_name_that_does_not_exist_leaves_the_other_parameters_as_they_are() -> None:
    def work(amount: Fraction, at: datetime) -> None: ...

    shape = CallShape(work, context=False)
    assert shape.decode(shape.encode((1, NOW), {}))[1] == {"amount": 1, "at": NOW}
    with pytest.raises(InvalidPayload) as refusal:
        shape.encode((Decimal(1), NOW), {})
    assert "Import Fraction at run time" in refusal.value.remedy


def test_without_an_annotation_the_remedy_is_to_annotate() -> None:
    def work(at) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(InvalidPayload) as refusal:
        CallShape(work, context=False).encode((NOW,), {})
    assert "annotate the parameter" in refusal.value.remedy


def test_a_converter_is_made_once_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = shape_for(list[Order])
    for name in ("fields", "is_dataclass"):
        monkeypatch.setattr(dataclasses, name, None)
    order = Order(ID, [Line(Decimal(1))], NOW)
    assert shape.decode(shape.encode(([order],), {}))[1]["value"] == [order]
