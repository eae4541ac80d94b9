"""Arguments come back equal and of the annotated type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Unpack,
)
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.model.errors import InvalidArguments
from pgqueue.model.payload import CallShape
from tests.model.kinds import (
    BERLIN,
    ID,
    NOW,
    Bare,
    Box,
    ByHand,
    Color,
    DateBox,
    Level,
    Line,
    Mood,
    Odd,
    Order,
    Partial,
    Point,
    Rectangle,
    Right,
    Tree,
    When,
    name_of,
    repeatable,
    returned,
    shape_for,
    stored,
)

if TYPE_CHECKING:
    pass  # a name that does not exist at run time


# What is stored for a value is a promise to SQL: a change here is a change for those who read and write it.
KINDS: list[tuple[Any, Any, Any]] = [
    (datetime, NOW, "2030-05-01T12:30:01.000005+00:00"),
    (datetime, datetime(2030, 5, 1), "2030-05-01T00:00:00"),
    (datetime, datetime(2030, 5, 1, tzinfo=BERLIN), "2030-05-01T00:00:00+02:00[Europe/Berlin]"),
    (date, date(2030, 5, 1), "2030-05-01"),
    (time, time(1, 2, 3, tzinfo=UTC), "01:02:03+00:00"),
    (time, time(1, 2, tzinfo=BERLIN), "01:02:00[Europe/Berlin]"),
    (timedelta, timedelta(days=1, seconds=90), "P1DT90S"),
    (timedelta, timedelta(microseconds=-1), "P-1DT86399.999999S"),
    (UUID, ID, "12345678-1234-5678-1234-567812345678"),
    (Decimal, Decimal("1.10"), "1.10"),
    (Decimal, Decimal("1E+400"), "1E+400"),
    (bytes, b"\0\xff", "AP8="),
    (Color, Color.RED, "red"),
    (Color, Color.CRIMSON, "red"),
    (Level, Level.HIGH, 2),
    (Mood, Mood.GOOD, "good"),
    (Odd, Odd.PAIR, "PAIR"),
    (Odd, Odd.NOTHING, "NOTHING"),
    (Right, Right.READ | Right.WRITE, 3),
    (Path, Path("/tmp/a b"), "/tmp/a b"),
    (PureWindowsPath, PureWindowsPath("c:/a"), "c:\\a"),
    (Point, Point(1, NOW), {"x": 1, "at": "2030-05-01T12:30:01.000005+00:00"}),
    (Bare, Bare(1, "x"), {"first": 1, "second": "x"}),
    (Partial, {"at": datetime(2030, 1, 1)}, {"at": "2030-01-01T00:00:00"}),
    (tuple[int, date], (1, date(2030, 1, 1)), [1, "2030-01-01"]),
    (tuple[int, ...], (1, 2, 3), [1, 2, 3]),
    (tuple, (1, "x"), [1, "x"]),
    (tuple[()], (), []),
    (set[str], {"b", "a"}, ["a", "b"]),
    (frozenset[UUID], frozenset({ID}), [str(ID)]),
    (dict[int, str], {1: "a", -2: "b"}, {"1": "a", "-2": "b"}),
    (dict[UUID, list[date]], {ID: [date(2030, 1, 1)]}, {str(ID): ["2030-01-01"]}),
    (dict[Level, str], {Level.LOW: "a"}, {"1": "a"}),
    (list[Annotated[date, "when"]], [date(2030, 1, 1)], ["2030-01-01"]),
    (When, NOW, "2030-05-01T12:30:01.000005+00:00"),
    (Literal[Color.RED, 1, "x"], Color.RED, "red"),
    (Literal[Color.RED, 1, "x"], 1, 1),
    (datetime | None, None, None),
    (date | int | None, 3, 3),
    (date | int | None, date(2030, 1, 1), "2030-01-01"),
    (list[date | None], [None, date(2030, 1, 1)], [None, "2030-01-01"]),
    (Line, Line(Decimal("1.5"), 1e16, ["a"]), {"price": "1.5", "weight": 1e16, "tags": ["a"]}),
    (Box[date], Box(date(2030, 1, 1)), {"held": "2030-01-01", "spare": []}),
    (DateBox, DateBox(date(2030, 1, 1)), {"held": "2030-01-01", "spare": []}),
    (Box, Box([1]), {"held": [1], "spare": []}),
    (ByHand, ByHand(3, unit="cm"), {"side": 3}),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), KINDS, ids=name_of)
def test_a_value_is_stored_as_stated_and_comes_back_equal(annotation: Any, value: Any, expected: Any) -> None:
    assert stored(value, annotation) == expected
    back = returned(value, annotation)
    assert back == value
    assert type(back) is type(value)


def test_what_postgresql_makes_of_it_comes_back_equal(database: psycopg.Connection) -> None:
    for annotation, value, _ in KINDS:
        shape = shape_for(annotation)
        row = database.execute("select %s::jsonb::text", (shape.encode((value,), {}),)).fetchone()
        assert row is not None
        back = shape.decode(row[0])[1]["value"]
        assert (back, type(back)) == (value, type(value))


zones = st.none() | st.timezones() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    datetime: st.datetimes(timezones=zones),
    date: st.dates(),
    time: st.times(timezones=zones),
    timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=20),
    Color: st.sampled_from(Color),
    Level: st.sampled_from(Level),
    Odd: st.sampled_from(Odd),
    Right: st.integers(0, 3).map(Right),
    PurePosixPath: st.text("ab./ü", max_size=9).map(PurePosixPath),
    str: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
}
KEYS = (datetime, date, UUID, Decimal, bytes, Color, Level, Odd, Right, PurePosixPath, str, int)
Typed = tuple[Any, st.SearchStrategy[Any]]


def of(kind: Any, *arguments: Any) -> Any:
    """Return a generic type with its arguments."""
    return kind[arguments if len(arguments) > 1 else arguments[0]]


def _containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    makers: list[Callable[[Any, st.SearchStrategy[Any]], Typed]] = [
        lambda kind, values: (of(list, kind), st.lists(values, max_size=3)),
        lambda kind, values: (of(tuple, kind, ...), st.lists(values, max_size=3).map(tuple)),
        lambda kind, values: (of(tuple, int, kind), st.tuples(st.integers(), values)),
        lambda kind, values: (kind | None, st.none() | values),
        lambda kind, values: (of(dict, str, kind), st.dictionaries(LEAVES[str], values, max_size=3)),
        lambda kind, values: (of(Box, kind), st.builds(Box, values, st.lists(values, max_size=2))),
    ]
    return st.builds(lambda make, typed: make(*typed), st.sampled_from(makers), inner)


def _leaf(kind: Any) -> Typed:
    return kind, LEAVES[kind]


leaves = st.sampled_from(list(LEAVES)).map(_leaf)
keyed = st.builds(
    lambda key, typed: (of(dict, key, typed[0]), st.dictionaries(LEAVES[key], typed[1], max_size=3)),
    st.sampled_from(KEYS),
    leaves,
)
sets = st.sampled_from(KEYS).map(lambda kind: (of(frozenset, kind), st.frozensets(LEAVES[kind], max_size=3)))
typed_values = st.recursive(leaves | keyed | sets, _containers, max_leaves=4)


def exactly(value: Any) -> Any:
    """Return a value with the types and offsets that == does not compare."""
    if isinstance(value, dict):
        return [(exactly(key), exactly(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), *map(exactly, value)]
    if isinstance(value, Box):
        return [Box, exactly(value.held), exactly(value.spare)]
    if isinstance(value, datetime | time):
        return value.isoformat(), repr(value.tzinfo)
    return type(value), value


@repeatable
@given(st.data(), typed_values)
def test_any_combination_of_types_comes_back_exactly(data: st.DataObject, typed: Typed) -> None:
    annotation, values = typed
    value = data.draw(values)
    assert exactly(returned(value, annotation)) == exactly(value)


@repeatable
@given(st.data(), typed_values)
def test_any_result_comes_back_exactly(data: st.DataObject, typed: Typed) -> None:
    annotation, values = typed
    value, shape = data.draw(values), shape_for(annotation)
    text = shape.encode_result(value)
    assert exactly(shape.decode_result(None if text is None else json.loads(text))) == exactly(value)


def trees() -> Iterator[Tree]:
    """Yield trees of several forms."""
    leaf = Tree(date(2030, 1, 1))
    yield leaf
    yield Tree(date.min, [leaf, Tree(date.max, [leaf])], parent=leaf)


@pytest.mark.parametrize("annotation", [Tree, list[Tree], Tree | None, dict[str, Tree]], ids=str)
def test_a_dataclass_may_be_made_of_itself(annotation: Any) -> None:
    for tree in trees():
        value = {list[Tree]: [tree], dict[str, Tree]: {"a": tree}}.get(annotation, tree)
        assert returned(value, annotation) == value


def test_a_dataclass_comes_back_as_it_was_and_not_as_its_constructor_would_make_it() -> None:
    rectangle = Rectangle("a", 3)
    rectangle.area = 10
    back = returned(rectangle, Rectangle)
    assert (back.name, back.side, back.area) == ("a!", 3, 10)


def test_a_stored_dataclass_that_lacks_a_field_gets_its_default() -> None:
    shape = shape_for(Order)
    text = json.dumps({"value": {"id": str(ID), "lines": [{"price": 3}], "placed": "2030-01-01"}})
    assert shape.decode(text)[1]["value"] == Order(ID, [Line(Decimal(3))], datetime(2030, 1, 1))


def test_a_float_of_a_field_is_a_float_also_when_jsonb_writes_it_without_a_point() -> None:
    back = shape_for(Line).decode('{"value": {"price": "1", "weight": 10000000000000000}}')[1]["value"]
    assert (back.weight, type(back.weight)) == (1e16, float)


def test_equal_sets_are_stored_equally() -> None:
    names = [f"name {number}" for number in range(50)]
    assert stored(set(names), set[str]) == sorted(names)
    assert stored({date.max, date.min}, set[date]) == ["0001-01-01", "9999-12-31"]


def test_every_argument_of_a_variadic_parameter_is_converted() -> None:
    def work(*days: date, **times: time) -> None: ...

    shape = CallShape(work, context=False)
    args, kwargs = shape.decode(shape.encode((date.min, date.max), {"a": time(1), "b": time(2)}))
    assert args == (date.min, date.max)
    assert kwargs == {"a": time(1), "b": time(2)}


def test_named_keywords_are_converted_each_by_its_annotation() -> None:
    def work(**options: Unpack[Partial]) -> None: ...

    shape = CallShape(work, context=False)
    assert shape.decode(shape.encode((), {"at": NOW, "note": "x"})) == ((), {"at": NOW, "note": "x"})
    with pytest.raises(InvalidArguments, match="lacks at of Partial"):
        shape.encode((), {"note": "x"})


def test_a_default_is_left_to_the_worker() -> None:
    def work(at: datetime = NOW, *, of: date | None = None) -> None: ...

    shape = CallShape(work, context=False)
    assert shape.encode((), {}) == "{}"
    assert shape.decode("{}") == ((), {})
