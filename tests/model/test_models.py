"""Models of pydantic and msgspec as arguments and results."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from pydantic import ConfigDict, Field

from pgqueue.model.converters import converter_of
from pgqueue.model.errors import InvalidArguments, TaskError
from tests.model.kinds import returned, shape_for, stored
from tests.model.test_hostile import refused
from tests.support import ROOT

T = TypeVar("T")
ID = UUID(int=7)


class Color(Enum):
    """Values are text."""

    RED = "red"


class Item(pydantic.BaseModel):
    """A model in a model."""

    price: Decimal
    color: Color = Color.RED


class Cart(pydantic.BaseModel):
    """A strict model with names of its own."""

    model_config = ConfigDict(strict=True, extra="forbid", serialize_by_alias=True)
    id: UUID = Field(alias="cartId")
    at: datetime = Field(validation_alias="moment")
    items: tuple[Item, ...] = ()
    wait: timedelta = timedelta(0)
    limits: dict[date, frozenset[int]] = {}

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        """Return the number of items; computed, so not stored."""
        return len(self.items)


class Page(pydantic.BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class Names(pydantic.RootModel[list[str]]):
    """A model that is a list."""


@pydantic.dataclasses.dataclass
class Place:
    """A dataclass of pydantic."""

    at: datetime


@dataclass
class Wrapper:
    """A dataclass that holds a model."""

    item: Item
    at: datetime


class Cat(pydantic.BaseModel):
    """One of two."""

    kind: Literal["cat"] = "cat"


class Dog(pydantic.BaseModel):
    """The other."""

    kind: Literal["dog"] = "dog"


class Line(msgspec.Struct, frozen=True):
    """A struct in a struct."""

    price: Decimal
    data: bytes = b""


class Basket(msgspec.Struct, rename="camel"):
    """A struct of most things."""

    basket_id: UUID
    made_at: datetime
    lines: tuple[Line, ...] = ()
    names: dict[int, set[str]] = {}


class Low(msgspec.Struct, tag=True, eq=False):
    """One of two, told apart by a tag; equal to itself only."""

    level: int = 1


class High(msgspec.Struct, tag=True):
    """The other."""

    level: int = 2


BERLIN = ZoneInfo("Europe/Berlin")
CART = Cart.model_validate(
    {
        "cartId": ID,
        "moment": datetime(2030, 1, 1),
        "limits": {date.min: frozenset({1})},
        "items": (Item(price=Decimal(1)),),
    }
)
BASKET = Basket(ID, datetime(2030, 1, 1, tzinfo=BERLIN), (Line(Decimal("1.1"), b"\xff"),), {1: {"a"}})


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (CART, Cart),
        ([CART], list[Cart]),
        (None, Cart | None),
        (3, Cart | int),
        ({"a": CART}, dict[str, Cart | None]),
        (Page[date](items=[date.min]), Page[date]),
        (Names(["a"]), Names),
        (Place(datetime(2030, 1, 1)), Place),
        (Wrapper(Item(price=Decimal(1)), datetime(2030, 1, 1)), Wrapper),
        (Dog(), Annotated[Cat | Dog, Field(discriminator="kind")]),
        ([Cat(), Dog()], list[Annotated[Cat | Dog, Field(discriminator="kind")]]),
        (pydantic.HttpUrl("https://example.com/a"), pydantic.HttpUrl),
        (BASKET, Basket),
        ([BASKET], list[Basket]),
        (None, Basket | None),
        (High(3), Low | High),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_model_comes_back_equal(value: Any, annotation: Any) -> None:
    back = returned(value, annotation)
    assert back == value
    assert type(back) is type(value)
    shape = shape_for(annotation)
    assert shape.decode_result(json.loads(shape.encode_result(value) or "null")) == value


def test_a_model_is_stored_by_the_names_of_its_fields_and_read_also_by_alias() -> None:
    assert stored(CART, Cart)["id"] == str(ID)
    assert "size" not in stored(CART, Cart)
    text = json.dumps({"value": {"cartId": str(ID), "moment": "2030-01-01T00:00:00"}})
    assert shape_for(Cart).decode(text)[1]["value"].id == ID


def test_a_model_that_compares_by_identity_is_compared_by_content() -> None:
    assert returned(Low(5), Low).level == 5
    assert returned(Low(6), Low | High).level == 6


def test_a_time_of_the_hour_that_comes_twice_is_taken() -> None:
    twice = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)
    for value, annotation in ((Place(twice), Place), (Wrapper(Item(price=Decimal(1)), twice), Wrapper)):
        assert returned(value, annotation).at.isoformat() == twice.isoformat()
    assert returned(Basket(ID, twice), Basket).made_at.isoformat() == twice.isoformat()


class Account(pydantic.BaseModel):
    """A model that masks what it holds."""

    password: pydantic.SecretStr


class Special(Item):
    """A subclass that holds more."""

    rebate: int = 1


class Order(pydantic.BaseModel):
    """A model in which a subclass would lose what it holds more."""

    item: Item


class SpecialLine(Line, frozen=True):
    """A subclass that holds more."""

    rebate: int = 1


@pytest.mark.parametrize(
    ("value", "annotation", "named"),
    [
        (Account(password=pydantic.SecretStr("secret")), Account, "would not come back equal"),
        (Special(price=Decimal(1)), Item, "is of type Special, not tests.model.test_models.Item"),
        ([Special(price=Decimal(1))], list[Item], "not list[tests.model.test_models.Item]"),
        (Order(item=Special(price=Decimal(1))), Order, "would not come back equal"),
        (SpecialLine(Decimal(1)), Line, "is of type SpecialLine"),
        (Basket(ID, datetime.min, (SpecialLine(Decimal(1)),)), Basket, "would not come back equal"),
        (Item.model_construct(price="x"), Item, "Expected `decimal`"),
        ({"price": 1}, Item, "is of type dict"),
        ((CART,), list[Cart], "cannot be stored"),
        (Line("x"), Line, "Invalid decimal string"),  # type: ignore[arg-type]
        ((BASKET,), list[Basket], "would not come back equal"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_model_that_would_come_back_as_another_is_refused(value: Any, annotation: Any, named: str) -> None:
    error = refused(value, annotation)
    assert named.casefold() in error.problem.casefold()
    assert "secret" not in str(error)


class Half(pydantic.BaseModel):
    """A model whose field is of a type that does not exist."""

    of: Nothing  # type: ignore[name-defined]  # noqa: F821


class Both(pydantic.BaseModel):
    """A model of pydantic that holds one of msgspec."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    item: Any


class Untagged(msgspec.Struct):
    """As High, without a tag."""

    level: int = 3


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (Cat | Dog, "more than one of its types"),
        (list[Cat | Dog], "more than one of its types"),
        (Cat | dict[str, Any], "more than one of its types"),
        (dict[str, Cat | date], "more than one of its types"),
        (Half, "Pydantic cannot handle"),
        (list[Half], "Nothing"),
        (tuple[Item, Line], "Pydantic cannot handle"),
        (Untagged | Line, "Msgspec cannot handle"),
        (Line | dict[str, Any], "dict-like"),
        (dict[str, Line | datetime | str], "str-like"),
    ],
    ids=str,
)
def test_what_the_library_cannot_tell_apart_is_refused_when_the_task_is_declared(annotation: Any, named: str) -> None:
    with pytest.raises(TaskError) as refusal:
        shape_for(annotation)
    assert named in refusal.value.problem


def test_a_validation_error_of_a_worker_names_the_field() -> None:
    for annotation, name in ((Item, "price"), (Line, "price")):
        with pytest.raises(InvalidArguments) as refusal:
            shape_for(annotation).decode('{"value": {"price": "x"}}')
        assert name in refusal.value.problem


def test_what_annotated_says_is_for_the_library() -> None:
    few = Annotated[list[Item], Field(max_length=1)]
    assert returned([Item(price=Decimal(1))], few) == [Item(price=Decimal(1))]
    assert "at most 1 item" in refused([Item(price=Decimal(1))] * 2, few).problem
    assert converter_of(list[int], Annotated[list[int], Field(max_length=1)]) is None


def test_neither_library_is_imported_before_it_is_needed() -> None:
    program = """
import sys
from dataclasses import dataclass
from datetime import datetime
from pgqueue.model.payload import CallShape

@dataclass
class Order:
    at: datetime

def work(order: Order, more: list[datetime] | None = None) -> Order: ...

shape = CallShape(work, context=False)
shape.decode(shape.encode((Order(datetime.min),), {}))
shape.encode_result(Order(datetime.min))
print({"pydantic", "msgspec", "cryptography"} & sys.modules.keys())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == "set()\n"
