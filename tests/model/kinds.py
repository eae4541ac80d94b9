"""Types that arguments may have, and how a value goes out and comes back."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import settings
from typing_extensions import TypeAliasType

from pgqueue.model.payload import CallShape

if TYPE_CHECKING:
    pass  # a name that does not exist at run time

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=150)
T = TypeVar("T")
When = NewType("When", datetime)
Day = NewType("Day", Annotated[date, "when"])
Dates = TypeAliasType("Dates", list[Annotated[date, "when"]])
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
