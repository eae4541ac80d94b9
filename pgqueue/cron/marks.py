"""What the extended and the Quartz dialect have beyond values: L, W, # and H.

H is Jenkins' letter: a value that is spread over the range by the schedule's key and stays. It is resolved here, with a hash
for each field: croniter's own takes all fields from one number, so of 1,440 pairs of minute and hour it reaches 240.
"""

from __future__ import annotations

import re

from pgqueue.cron.checks import chance
from pgqueue.cron.fields import DAY, WEEKDAY, Bounds, Field, read_field, read_step, read_value, refusal
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

LAST_HASHED_DAY = 28  # every month has it

_HASHED = re.compile(r"H(?:\(([^()]*)\))?(?:/(.*))?")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_ORDINAL = re.compile(r"([0-9A-Za-z]+)#(.*)")
_LAST_OF = re.compile(r"([0-9A-Za-z]+)L")


def read_marked(text: str, bounds: Bounds, expression: str, key: str | None) -> Field:
    """Read a field that may hold marks.

    Args:
        text: The field.
        bounds: What it takes.
        expression: The whole, for the error.
        key: The schedule's key, by which H is spread.

    Raises:
        InvalidSchedule: An item is not in the grammar, or outside the range, or H stands in it and there is no key.
    """
    items = [_resolved(item, bounds, expression, key) for item in text.split(",")]
    marks = [_mark(item, bounds, expression) for item in items]
    plain = [item for item, mark in zip(items, marks, strict=True) if mark is None]
    found = tuple(mark for mark in marks if mark is not None)
    if found and plain and (bounds.name == WEEKDAY.name or any("W" in mark for mark in found)):
        raise refusal(expression, bounds, text, "mixes values with L, W or #", "Make two schedules of it.")
    if any("W" in mark for mark in found) and len(found) > 1:
        raise refusal(expression, bounds, text, "has W beside another item", "Make two schedules of it.")
    if not plain:
        return Field(frozenset(), star=False, open=False, marks=found)
    return read_field(",".join(plain), bounds, expression)._replace(marks=found)


def _mark(item: str, bounds: Bounds, expression: str) -> str | None:
    """Return the item as croniter writes it, None when it is a plain one."""
    if bounds.name == DAY.name:
        return _mark_of_days(item.upper(), bounds, expression)
    if bounds.name == WEEKDAY.name:
        return _mark_of_weekdays(item, bounds, expression)
    return None


def _mark_of_days(item: str, bounds: Bounds, expression: str) -> str | None:
    if item == "L":
        return "L"
    nearest = _NEAREST.fullmatch(item)
    if nearest is not None:
        return f"{read_value(nearest[1], bounds, expression)}W"
    if item == "LW" or item.startswith("L-"):
        raise refusal(
            expression, bounds, item, "is not supported", 'Write "L" for the last day, or a Monthly schedule.'
        )
    return None


def _mark_of_weekdays(item: str, bounds: Bounds, expression: str) -> str | None:
    ordinal = _ORDINAL.fullmatch(item)
    if ordinal is not None:
        if ordinal[2] not in ("1", "2", "3", "4", "5"):
            raise refusal(expression, bounds, item, "names no week of a month", 'Write 1 to 5 after "#".')
        return f"{_weekday(ordinal[1], bounds, expression)}#{ordinal[2]}"
    last = _LAST_OF.fullmatch(item.upper()) if item.upper() not in bounds.names else None
    return None if last is None else f"L{_weekday(last[1], bounds, expression)}"


def _weekday(text: str, bounds: Bounds, expression: str) -> int:
    value = read_value(text, bounds, expression)
    return bounds.low if value == bounds.wraps else value


def _resolved(item: str, bounds: Bounds, expression: str, key: str | None) -> str:
    """Return the item with H replaced by the values that the key gives it."""
    hashed = _HASHED.fullmatch(item)
    if hashed is None:
        return item
    if key is None:
        raise InvalidSchedule(
            f"{short(expression)}: H in the {bounds.name} field is spread by a key, and none is given.", "Pass key=."
        )
    low, high = _hashed_range(hashed[1], item, bounds, expression)
    step = hashed[2]
    if step is None:
        return str(low + chance(bounds.name, key) % (high - low + 1))
    first = low + chance(bounds.name, key) % min(read_step(step, item, bounds, expression), high - low + 1)
    return f"{first}-{high}/{step}"


def _hashed_range(text: str | None, item: str, bounds: Bounds, expression: str) -> tuple[int, int]:
    """Return the range of H as written; the values of read_value mean what is written less the shift."""
    if text is None:
        high = LAST_HASHED_DAY if bounds.name == DAY.name else bounds.high
        return bounds.low + bounds.shift, high + bounds.shift
    first, dash, last = text.partition("-")
    if not dash:
        raise refusal(expression, bounds, item, "has no range", 'Write "H(a-b)".')
    low, high = (read_value(end, bounds, expression) + bounds.shift for end in (first, last))
    if low > high:
        raise refusal(expression, bounds, item, "ends before it begins", 'Write "H(a-b)" with a up to b.')
    return low, high
