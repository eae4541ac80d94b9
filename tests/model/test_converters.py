"""Arguments come back equal and of the annotated type."""

from __future__ import annotations

import dataclasses
import json
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
    Unpack,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from pgqueue.model.converters import converter_of
from pgqueue.model.errors import InvalidArguments, InvalidPayload, TaskError
from pgqueue.model.payload import CallShape

if TYPE_CHECKING:
    from fractions import Fraction  # a name that does not exist at run time

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=150)
T = TypeVar("T")
When = NewType("When", datetime)
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2030, 5, 1, 12, 30, 1, 5, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")


class Color(Enum):
    """Values are text; two names for one."""

    RED = "red"
    BLUE = "blue"
    CRIMSON = "red"  # noqa: PIE796 - that is what is tested


class Level(IntEnum):
    """Values are numbers."""

    LOW = 1
    HIGH = 2


class Mood(StrEnum):
    """Values are text, and so are the members."""

    GOOD = "good"


class Odd(Enum):
    """Values that JSON does not have."""

    PAIR = (1, 2)
    NOTHING = None


class Right(Flag):
    """Members that add up."""

    READ = 1
    WRITE = 2


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    at: datetime | None = None


Bare = namedtuple("Bare", "first second")


class Partial(TypedDict):
    """A dict with stated keys."""

    at: datetime
    note: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A frozen dataclass with slots."""

    price: Decimal
    weight: float = 1.0
    tags: list[str] = field(default_factory=list)


@dataclass
class Order:
    """A dataclass of dataclasses."""

    id: UUID
    lines: list[Line]
    placed: datetime
    note: str | None = None


@dataclass
class Tree:
    """A dataclass made of itself."""

    at: date
    children: list[Tree] = field(default_factory=list)
    parent: Tree | None = None


@dataclass
class Box(Generic[T]):
    """A generic dataclass."""

    held: T
    spare: list[T] = field(default_factory=list)


@dataclass
class DateBox(Box[date]):
    """A subclass that says what is held."""


@dataclass
class Rectangle:
    """A dataclass that computes a field and changes another."""

    name: str
    side: int
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.name += "!"
        self.area = self.side**2


@dataclass(init=False)
class ByHand:
    """A dataclass whose constructor takes its fields by name."""

    side: int

    def __init__(self, side: int, *, unit: str = "m") -> None:
        self.side = side


def shape_for(annotation: Any) -> CallShape:
    """Return the shape of a task that takes, and returns, one value of an annotation."""

    def take(value: Any) -> Any: ...

    take.__annotations__ = {"value": annotation, "return": annotation}
    return CallShape(take, context=False)


def stored(value: object, annotation: Any) -> Any:
    """Return what is stored for a value."""
    return json.loads(shape_for(annotation).encode((value,), {}))["value"]


def returned(value: object, annotation: Any) -> Any:
    """Return what a worker's handler gets for a value."""
    shape = shape_for(annotation)
    return shape.decode(shape.encode((value,), {}))[1]["value"]


def name_of(part: Any) -> str:
    """Return the name of a test's parameter: the same in every process, also of a set."""
    return part[:40] if isinstance(part, str) else getattr(part, "__name__", type(part).__name__)


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


Dates = TypeAliasType("Dates", list[Annotated[date, "when"]])
Day = NewType("Day", Annotated[date, "when"])


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
