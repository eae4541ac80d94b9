"""Lengths of time as people write them: "10s", "1h30m", 10, timedelta."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidOption

Duration: TypeAlias = timedelta | float | str

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_LONGEST = 36_525 * 86400.0  # 100 years, as PostgreSQL counts them


def seconds(value: object, option: str) -> float:
    """Read a length of time.

    Args:
        value: "10s", "1h30m" (units ms, s, m, h, d), a number of seconds, or a timedelta.
        option: What the value is for; named in the error.

    Returns:
        Seconds, from 0 to 100 years.

    Raises:
        InvalidOption: The value is of another type, negative, not finite, too long, or not readable.
    """
    length = _read(value)
    if length is None or not math.isfinite(length) or not 0 <= length <= _LONGEST:
        raise InvalidOption(
            f"{option}={short(value)} is not a length of time from 0 to 100 years.",
            'Write it as "10s", "5m" or "1h30m", as seconds, or as a timedelta.',
        )
    return length


def _read(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) <= _LONGEST else None
    return _read_text(value.strip()) if isinstance(value, str) else None


def _read_text(text: str) -> float | None:
    total, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return total if text else None
