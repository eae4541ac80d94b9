"""Whatever is passed: one clear error before anything is written, or it comes back equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from pgqueue.model.errors import InvalidArguments, InvalidPayload, PgQueueError
from pgqueue.model.writing import DEEPEST_PAYLOAD
from tests.model.kinds import Color, Level, Line, Order, Partial, Point, Rectangle, name_of, returned, shape_for

BERLIN = ZoneInfo("Europe/Berlin")
FAR_EAST, FAR_WEST = timezone(timedelta(hours=23, minutes=59)), timezone(-timedelta(hours=23, minutes=59))


@dataclass
class Note:
    """A dataclass that holds anything, and itself."""

    text: Any = ""
    number: int = 0
    amount: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)
    next: Note | None = None


class Model(pydantic.BaseModel):
    """The same, by pydantic."""

    text: Any = ""
    number: int = 0
    amount: float = 0.0
    more: dict[str, Any] = {}
    next: Model | None = None


class Struct(msgspec.Struct):
    """The same, by msgspec."""

    text: Any = ""
    number: int = 0
    amount: float = 0.0
    more: dict[str, Any] = {}
    next: Struct | None = None


class Mute:
    """Something that cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


def circle() -> list[Any]:
    """Return a list that holds itself."""
    itself: list[Any] = []
    itself.append(itself)
    return itself


def chain(make: Callable[..., Any], length: int) -> Any:
    """Return an object that holds an object, and so on."""
    first = make()
    for _ in range(length):
        first = make(next=first)
    return first


def ring(make: Callable[..., Any]) -> Any:
    """Return an object that holds itself."""
    first = make()
    first.next = first
    return first


def refused(value: object, annotation: Any) -> PgQueueError:
    """Return what is said of a value that cannot be stored."""
    with pytest.raises((InvalidArguments, InvalidPayload)) as refusal:
        shape_for(annotation).encode((value,), {})
    error: PgQueueError = refusal.value
    assert "take: " in error.problem
    assert len(error.problem) < 500
    assert error.remedy
    return error


MAKERS: list[Any] = [Note, Model.model_construct, Struct]
KIND_OF: dict[Any, Any] = {MAKERS[0]: Note, MAKERS[1]: Model, MAKERS[2]: Struct}


@pytest.mark.parametrize("make", MAKERS, ids=["dataclass", "pydantic", "msgspec"])
@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a\0b"},
        {"text": ["\0"]},
        {"text": "\ud800"},
        {"text": {"\udfff": 1}},
        {"amount": math.nan},
        {"amount": -math.inf},
        {"amount": 10**400},
        {"number": 10**5000},
        {"number": "1"},
        {"number": 1.5},
        {"more": {"a\0": 1}},
        {"more": {1: 2}},
        {"more": {"a": circle()}},
        {"more": {"a": object()}},
        {"more": {"a": Mute()}},
        {"more": []},
        {"text": "x" * 10_000_000},
        {"next": {"text": "a dict"}},
    ],
    ids=lambda fields: f"{next(iter(fields))}-{type(next(iter(fields.values()))).__name__}",
)
def test_a_field_that_cannot_be_stored_is_refused(make: Any, fields: dict[str, Any]) -> None:
    refused(make(**fields), KIND_OF[make])


@pytest.mark.parametrize("make", MAKERS, ids=["dataclass", "pydantic", "msgspec"])
def test_a_number_over_bigint_comes_back_equal(make: Any) -> None:
    value = make(number=-(2**70))
    assert returned(value, KIND_OF[make]) == value


@pytest.mark.parametrize("make", MAKERS, ids=["dataclass", "pydantic", "msgspec"])
def test_deep_objects_come_back_and_deeper_ones_are_refused(make: Any) -> None:
    deep = chain(make, DEEPEST_PAYLOAD - 2)
    shape = shape_for(KIND_OF[make])
    back = shape.decode(shape.encode((deep,), {}))[1]["value"]
    for _ in range(DEEPEST_PAYLOAD - 2):
        back = back.next
    assert back.next is None
    for length in (DEEPEST_PAYLOAD, 5000):
        refused(chain(make, length), KIND_OF[make])


@pytest.mark.parametrize("make", MAKERS, ids=["dataclass", "pydantic", "msgspec"])
def test_an_object_that_holds_itself_is_refused(make: Any) -> None:
    refused(ring(make), KIND_OF[make])


@pytest.mark.parametrize("depth", [DEEPEST_PAYLOAD + 1, 100_000])
def test_lists_that_are_too_deep_for_a_worker_are_refused(depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    assert "nested deeper than 200 levels" in refused(nested, Any).problem
    assert "nested deeper than 200 levels" in refused(circle(), Any).problem


@pytest.mark.parametrize(
    ("value", "annotation", "named"),
    [
        (Decimal("NaN"), Decimal, "value=Decimal('NaN') is not finite"),
        (Decimal("sNaN"), Decimal, "is not finite"),
        (Decimal("-Infinity"), Decimal, "is not finite"),
        (1.5, Decimal, "value=1.5 is of type float, not Decimal"),
        (datetime(2030, 1, 1), date, "is of type datetime, not date"),
        (date(2030, 1, 1), datetime, "is of type date, not datetime"),
        ("2030-01-01", date, "value='2030-01-01' is of type str, not date"),
        (bytearray(b"x"), bytes, "is of type bytearray, not bytes"),
        ("x", bytes, "is of type str, not bytes"),
        ("red", Color, "value='red' is of type str, not Color"),
        (str(UUID(int=1)), UUID, "is of type str, not UUID"),
        ("/tmp", Path, "is of type str, not Path"),
        (Path("a\0b"), Path, "NUL"),
        (Path("\udcff"), Path, "surrogates"),
        ((1, 2), tuple[int, int, int], "of type tuple, not tuple[int, int, int]"),
        ([1, 2], tuple[int, ...], "is of type list, not tuple"),
        ((date.min,), list[date], "is of type tuple, not list"),
        ({1, "x"}, set[int], "value='x' is of type str, not int"),
        ([1], set[int], "is of type list, not set"),
        ({True: "a"}, dict[int, str], "value=True is of type bool, not int"),
        ({10**5000: "a"}, dict[int, str], "4300 digits"),
        ({(1, 2): date.min}, dict[tuple[int, int], date], "(1, 2) is of type tuple, not str"),
        ({1.5: date.min}, dict[float, date], "1.5 is of type float, not str"),
        ({"at": date.min}, Partial, "value.at=datetime.date(1, 1, 1) is of type date"),
        ({}, Partial, "lacks at of Partial"),
        ({"at": datetime.min, "odd": 1}, Partial, "has 'odd', which Partial does not have"),
        ((1, None), Point, "is of type tuple, not Point"),
        (Point(1, "now"), Point, "value.at='now' is of type str"),  # type: ignore[arg-type]
        (Line("1"), Line, "value.price='1' is of type str, not Decimal"),  # type: ignore[arg-type]
        (Line(Decimal(1), "x"), Line, "value.weight='x' is of type str, not float"),  # type: ignore[arg-type]
        (Line(Decimal(1), tags=[1]), Line, "value.tags=[1] is of type list, not list[str]"),  # type: ignore[list-item]
        (
            Order(UUID(int=1), [Line(Decimal(1)), Line(1)], datetime.min),  # type: ignore[arg-type]
            Order,
            "value.lines.price=1 is of type int, not Decimal",
        ),
        (object.__new__(Rectangle), Rectangle, "has no attribute"),
        (Mute(), date, "<Mute> is of type Mute, not date"),
        (circle(), list[date], "is of type list, not date"),
        (10**5000, str, "<int> is of type int, not str"),
        (10**5000, int, "4300 digits"),
        (10**400, float, "is of type int, not float"),
        (2**53 + 1, float, "value=9007199254740993 is of type int, not float"),
        (None, date, "value=None is of type NoneType, not date"),
        ("x", date | int, "value='x' is of type str, not datetime.date | int"),
    ],
    ids=name_of,
)
def test_a_value_of_another_kind_is_refused_by_name(value: Any, annotation: Any, named: str) -> None:
    assert named in refused(value, annotation).problem


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (datetime.max.replace(tzinfo=FAR_EAST), datetime),
        (datetime.max.replace(tzinfo=FAR_WEST), datetime),
        (datetime.min.replace(tzinfo=FAR_EAST), datetime),
        (datetime.min.replace(tzinfo=FAR_WEST), datetime),
        (datetime.max.replace(tzinfo=ZoneInfo("Pacific/Kiritimati")), datetime),
        (datetime.min.replace(tzinfo=ZoneInfo("Pacific/Honolulu")), datetime),
        (datetime(9999, 12, 31, tzinfo=UTC), datetime),
        (datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime),
        (datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1), datetime),
        (datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN), datetime),
        (datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN, fold=1), datetime),
        (datetime(1850, 1, 1, tzinfo=BERLIN), datetime),
        (date.min, date),
        (date.max, date),
        (time.max.replace(tzinfo=FAR_WEST), time),
        (timedelta.min, timedelta),
        (timedelta.max, timedelta),
        (Decimal("-0E+1000"), Decimal),
        (Decimal("9" * 5000), Decimal),
        (Decimal("1E-999999"), Decimal),
        (bytes(range(256)), bytes),
        ({"": 1, "\\u0000": 2, "\u2028": 3}, dict[str, int]),
        (1e16, float),
        (5e-324, float),
        (2**53, float),
        (-(2**200), int),
    ],
    ids=name_of,
)
def test_the_edges_come_back_equal(value: Any, annotation: Any) -> None:
    back = returned(value, annotation)
    assert back == value
    if isinstance(value, datetime):
        assert (back.isoformat(), back.tzinfo) == (value.isoformat(), value.tzinfo)


class Stamp(datetime):
    """As libraries for frozen or friendlier times derive it."""


class Nanostamp(datetime):
    """A subclass that holds more than is stored."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nanostamp) and super().__eq__(other)

    __hash__ = datetime.__hash__


class LongLine(Line):
    """A subclass of a dataclass."""


def test_a_subclass_of_a_plain_value_is_stored_as_declared_if_nothing_is_lost() -> None:
    assert type(returned(Stamp(2030, 1, 1), datetime)) is datetime
    assert "is of type Nanostamp, not datetime" in refused(Nanostamp(2030, 1, 1), datetime).problem


def test_a_subclass_of_a_dataclass_is_refused() -> None:
    assert "is of type LongLine, not Line" in refused(LongLine(Decimal(1)), Line).problem


# What SQL wrote, or another version of the application.
@pytest.mark.parametrize(
    ("stored", "annotation", "named"),
    [
        ("tomorrow", datetime, "is not the text of a datetime (Invalid isoformat string"),
        (5, datetime, "the stored value=5 is not the text of a datetime"),
        ("2030-01-01T00:00:00+01:00[Nowhere/Town]", datetime, "No time zone found"),
        ("2030-01-01T00:00:00+01:00[../../etc/passwd]", datetime, "is not the text of a datetime"),
        ("PT", timedelta, "write it as P1DT2H3M4.5S"),
        ("P999999999999D", timedelta, "is not the text of a timedelta"),
        ("x", UUID, "is not the text of a UUID"),
        ("NaN", Decimal, "not finite"),
        (1.5, Decimal, "is not the text of a Decimal"),
        ("AP*8=", bytes, "is not the text of a bytes"),
        ("not base64!", bytes, "is not the text of a bytes"),
        ("green", Color, "the stored value='green' is no member of Color"),
        (True, Level, "no member of Level"),
        (1.0, Level, "no member of Level"),
        ([1], Color, "no member of Color"),
        ([1], tuple[int, int], "is no list of 2"),
        ({}, tuple[int, ...], "is no list"),
        ("ab", set[str], "is no list"),
        ([[]], set[Any], "unhashable"),
        ({"01": "a"}, dict[int, str], "'01' is no whole number"),
        ([], dict[int, str], "is no object"),
        ([], Line, "is not the object of a Line"),
        ({"price": "x"}, Line, "the stored value.price='x' is not the text of a Decimal"),
        ({"weight": 1}, Line, "makes no Line (Line.__init__() missing 1 required positional argument: 'price')"),
        ({"price": "1", "cost": 1}, Line, "has 'cost', which Line does not have"),
        ({"price": "1", "weight": "x"}, Line, "weight='x' is of type str, not float"),
        ({"note": "x"}, Partial, "lacks at of Partial"),
        (None, date, "None is not the text of a date"),
        ([], date | int, "is of type list"),
        ({"number": "x"}, Model, "is no tests.model.test_hostile.Model"),
        ({"number": "x"}, Struct, "Expected `int`, got `str`"),
    ],
    ids=name_of,
)
def test_what_is_stored_and_does_not_fit_is_one_clear_error(stored: Any, annotation: Any, named: str) -> None:
    shape = shape_for(annotation)
    with pytest.raises(InvalidArguments) as refusal:
        shape.decode(json.dumps({"value": stored}))
    assert named in refusal.value.problem
    assert refusal.value.remedy.startswith("Its signature is (value: ")


@pytest.mark.parametrize(
    "text", ['{"value": ' + "9" * 5000 + "}", '{"value": ' + "[" * 5000 + "]" * 5000 + "}"], ids=["digits", "depth"]
)
def test_stored_json_that_python_cannot_read_is_one_clear_error(text: str) -> None:
    with pytest.raises(InvalidArguments, match="cannot be read"):
        shape_for(Any).decode(text)


def test_a_stored_number_beyond_float_is_one_clear_error() -> None:
    with pytest.raises(InvalidArguments, match="too large to convert to float"):
        shape_for(float).decode('{"value": 1' + "0" * 400 + "}")


def test_durations_are_read_as_people_write_them() -> None:
    shape = shape_for(timedelta)
    for text, length in {
        "P1DT2H3M4.5S": timedelta(days=1, hours=2, minutes=3, seconds=4.5),
        "PT-0.5S": timedelta(seconds=-0.5),
        "P2D": timedelta(days=2),
        "PT36H": timedelta(hours=36),
    }.items():
        assert shape.decode(json.dumps({"value": text}))[1] == {"value": length}
