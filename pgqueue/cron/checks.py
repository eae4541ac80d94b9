"""Checks that several kinds of schedule need, and the number that stands for chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from pgqueue.model.conversion import short
from pgqueue.model.durations import seconds
from pgqueue.model.errors import InvalidOption, InvalidSchedule
from pgqueue.model.options import is_whole_number

CHANCES = 1 << 64


def aware(instant: object, what: str) -> datetime:
    """Return an instant in UTC.

    Raises:
        InvalidSchedule: It is no datetime, or has no zone.
    """
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise InvalidSchedule(
            f"{what}={short(instant)} is not a datetime with a zone.",
            "Pass datetime(..., tzinfo=UTC), or .astimezone().",
        )
    return instant.astimezone(UTC)


def check_choice(option: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the words.

    Raises:
        InvalidSchedule: As said.
    """
    if value not in choices:
        raise InvalidSchedule(f"{option}={short(value)} is unknown.", f"Choose one of {', '.join(choices)}.")


def check_whole(option: str, value: object, most: int, remedy: str) -> None:
    """Refuse what is no whole number from 1 on.

    Raises:
        InvalidSchedule: As said, or it is larger than the most.
    """
    if not is_whole_number(value, 1, most):
        raise InvalidSchedule(f"{option}={short(value)} is not a whole number from 1 to {most}.", remedy)


def whole_seconds(option: str, value: object) -> timedelta:
    """Read a length of whole seconds from 1 on.

    Raises:
        InvalidSchedule: It is none.
    """
    try:
        length = seconds(value, option)
    except InvalidOption as error:
        raise InvalidSchedule(error.problem, error.remedy) from None
    if length < 1 or length % 1:
        raise InvalidSchedule(
            f"{option}={short(value)} is not a whole number of seconds from 1 on.", "Ticks are whole seconds."
        )
    return timedelta(seconds=length)


def chance(*parts: str) -> int:
    """Return a number below ``CHANCES`` that is the same for the same words, and even over different ones."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")
