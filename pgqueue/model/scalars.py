"""Values that are stored as text or as a number: times, UUID, Decimal, bytes, enums, paths.

A value of a subclass (of datetime, for example) is stored as declared if what is read back is equal to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

from pgqueue.model.conversion import Convert, Converter, Misfit, reason, wrong_type

_DURATION = re.compile(
    r"P(?:(-?[0-9]{1,15})D)?(?:T(?:(-?[0-9]{1,15})H)?(?:(-?[0-9]{1,15})M)?(?:(-?)([0-9]{1,15})(?:\.([0-9]{1,6}))?S)?)?"
)


def scalar(annotation: Any) -> Converter | None:
    """Return the converter of a single value, or None if the annotation is of another kind."""
    if get_origin(annotation) is Literal:
        return _literal(get_args(annotation))
    if not isinstance(annotation, type):
        return None
    if annotation in _TEXTS:
        return _text(annotation, *_TEXTS[annotation])
    if issubclass(annotation, Enum):
        return _enum(annotation)
    return _text(annotation, str, annotation) if issubclass(annotation, PurePath) else None


def kinds_of_enum(kind: type[Enum]) -> set[str]:
    """Return what the members of an enum are stored as: "text", "number"."""
    if issubclass(kind, Flag):
        return {"number"}
    return {"number" if type(member.value) is int else "text" for member in kind} if _by_value(kind) else {"text"}


def _text(kind: type, to_text: Callable[[Any], str], from_text: Callable[[Any], Any]) -> Converter:
    def write(value: object) -> str:
        if not isinstance(value, kind):
            raise wrong_type(value, kind.__name__)
        stored = to_text(value)
        same = type(value) is kind or from_text(stored) == value
        if not same:
            raise wrong_type(value, kind.__name__)
        return stored

    def read(stored: object) -> Any:
        if not isinstance(stored, str) and not (kind is Decimal and type(stored) is int):
            raise Misfit(stored, f"is not the text of a {kind.__name__}")
        try:
            return from_text(stored)
        except Exception as error:  # noqa: BLE001 - whatever the class raises for a text that is none of its own
            raise Misfit(stored, f"is not the text of a {kind.__name__} ({reason(error)})") from None

    return Converter(lambda value: isinstance(value, kind), write, read)


def _by_value(kind: type[Enum]) -> bool:
    return issubclass(kind, Flag) or all(type(member.value) in (str, int) for member in kind)


def _enum(kind: type[Enum]) -> Converter:
    by_value = _by_value(kind)

    def write(value: object) -> Any:
        if not isinstance(value, kind):
            raise wrong_type(value, kind.__name__)
        return value.value if by_value else value.name

    def read(stored: object) -> Enum:
        try:
            if not by_value:
                return kind[str(stored)]
            if type(stored) in (str, int):  # True is no 1
                return kind(stored)
        except (ValueError, KeyError):
            pass
        raise Misfit(stored, f"is no member of {kind.__name__}")

    return Converter(lambda value: isinstance(value, kind), write, read)


def _literal(values: tuple[Any, ...]) -> Converter | None:
    """Return the converter of a Literal with enum members or bytes; others are JSON."""
    if not any(isinstance(value, Enum | bytes) for value in values):
        return None
    stored = [_stored(value) for value in values]

    def position(sought: object, among: list[Any] | tuple[Any, ...]) -> int:
        for index, one in enumerate(among):
            if type(one) is type(sought) and one == sought:
                return index
        raise Misfit(sought, f"is none of {', '.join(map(repr, values))}")

    return Converter(
        lambda value: any(type(one) is type(value) and one == value for one in values),
        lambda value: stored[position(value, values)],
        lambda value: values[position(value, stored)],
    )


def _stored(value: Any) -> Any:
    converter = scalar(type(value)) if isinstance(value, Enum | bytes) else None
    return value if converter is None else converter.write(value)


def _write_datetime(value: datetime) -> str:
    # The offset alone is another datetime: "an hour that comes twice" is unequal across zones, and + timedelta(days=1) differs.
    key = getattr(value.tzinfo, "key", None) if isinstance(value.tzinfo, ZoneInfo) else None
    return datetime.isoformat(value) + (f"[{key}]" if key else "")


def _read_datetime(text: str) -> datetime:
    text, zone = _split(text)
    value = datetime.fromisoformat(text)
    if zone is None:
        return value
    for fold in (0, 1):
        there = value.replace(tzinfo=zone, fold=fold)
        if there.utcoffset() == value.utcoffset():
            return there
    return value.astimezone(zone)  # the rules of the zone changed: the instant counts


def _write_time(value: time) -> str:
    key = getattr(value.tzinfo, "key", None) if isinstance(value.tzinfo, ZoneInfo) else None
    return time.isoformat(value) + (f"[{key}]" if key else "")


def _read_time(text: str) -> time:
    text, zone = _split(text)
    value = time.fromisoformat(text)
    return value if zone is None else value.replace(tzinfo=zone)


def _split(text: str) -> tuple[str, ZoneInfo | None]:
    if not text.endswith("]"):
        return text, None
    text, _, key = text[:-1].partition("[")
    return text, ZoneInfo(key)


def _write_timedelta(value: timedelta) -> str:
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    return f"P{days}T{value.seconds}{fraction}S"


def _read_timedelta(text: str) -> timedelta:
    parts = _DURATION.fullmatch(text)
    if parts is None or not any(parts.group(1, 2, 3, 5)):
        raise ValueError("write it as P1DT2H3M4.5S")
    days, hours, minutes, sign, seconds, fraction = parts.groups()
    return timedelta(
        days=int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(sign + (seconds or "0")) if sign else int(seconds or 0),
        microseconds=int((sign or "") + (fraction or "").ljust(6, "0")),
    )


def _write_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Misfit(value, "is not finite")
    return str(value)


def _read_decimal(stored: str | int) -> Decimal:
    value = Decimal(stored)
    if not value.is_finite():
        raise ValueError("not finite")
    return value


_TEXTS: dict[type, tuple[Convert, Convert]] = {
    datetime: (_write_datetime, _read_datetime),
    date: (date.isoformat, date.fromisoformat),
    time: (_write_time, _read_time),
    timedelta: (_write_timedelta, _read_timedelta),
    UUID: (str, UUID),
    Decimal: (_write_decimal, _read_decimal),
    bytes: (lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text, validate=True)),
}
