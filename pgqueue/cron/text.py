"""Schedules in one line: as they are stored, written in SQL and on the command line.

A cron expression, or one of these; before it, each at most once, DIALECT=, CRON_TZ= (or robfig's older TZ=), GAP=, FOLD=::

    @every 1h30m                         a length of time as Go writes it; robfig's
    @every 5s to 10s                     a random time
    @every day at 09:00,17:30:15         and: @every 2 days at ...
    @every 2 weeks on MON,FRI at 09:00
    @every month on 1,-1 at 09:00        -1 is the last day
    @once 2026-12-24T18:00:00Z,2026-12-31T23:59:59+01:00
    @after 10m                           after the run before has ended
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from pgqueue.cron.calendar import Daily, Monthly, Weekly
from pgqueue.cron.kinds import EPOCH, AfterCompletion, Cron, Every, EveryBetween, Once
from pgqueue.cron.when import When
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

LONGEST_TEXT = 256  # characters of an expression
LONGEST_LIST = 32_768  # of "@once", which may list a thousand instants

_PREFIX = re.compile(r"(CRON_TZ|TZ|GAP|FOLD|DIALECT)=(\S*)(?:\s+|$)")
_OPTIONS = {"CRON_TZ": "tz", "TZ": "tz", "GAP": "gap", "FOLD": "fold", "DIALECT": "dialect"}
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_UNITS = {"ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "\u00b5s": Fraction(1, 10**6), "\u03bcs": Fraction(1, 10**6),
          "ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}  # fmt: skip
_BETWEEN = re.compile(r"(\S+) to (\S+)")
_CALENDAR = re.compile(r"(?:([0-9]{1,9}) )?(day|week|month)s?(?: on (\S+))? at (\S+)")
_LONGEST_LENGTH = 36_525 * 86_400  # 100 years


def parse(text: str, *, tz: str | None = None, anchor: datetime = EPOCH, key: str = "") -> When:
    """Read a schedule that is written in one line.

    Args:
        text: As the head of this module says.
        tz: Zone where the text names none; UTC.
        anchor: From when "@every" is counted.
        key: The schedule's key: what random times and H are spread by.

    Raises:
        InvalidSchedule: It cannot be read, or names no time.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidSchedule(f"{short(text)} is no schedule.", 'Write "*/5 * * * *" or "@every 10s".')
    body, options = _prefixes(text.strip())
    longest = LONGEST_LIST if body.startswith("@once ") else LONGEST_TEXT
    if len(text) > longest:
        raise InvalidSchedule(f"{short(text)} has {len(text)} characters, at most {longest} are read.", "Shorten it.")
    if tz is not None and options.setdefault("tz", tz) != tz:
        raise InvalidSchedule(
            f"{short(text)} names its zone, and tz={short(tz)} names another.", "Name the zone in one place."
        )
    return _read(body, options, anchor, key, text)


def _prefixes(text: str) -> tuple[str, dict[str, Any]]:
    """Take the options off the beginning of a text."""
    options: dict[str, Any] = {}
    rest = text
    while (found := _PREFIX.match(rest)) is not None:
        option = _OPTIONS[found[1]]
        if option in options:
            raise InvalidSchedule(f"{short(text)} names its {option} twice.", "Name it once.")
        options[option] = found[2]
        rest = rest[found.end() :]
    if not rest:
        raise InvalidSchedule(
            f"{short(text)}: nothing follows the options.", 'Write an expression after them: "0 9 * * *".'
        )
    return rest, options


def _read(body: str, options: Mapping[str, Any], anchor: datetime, key: str, text: str) -> When:
    word, _, rest = body.partition(" ")
    rest = " ".join(rest.split())
    if word == "@every":
        return _every(rest, options, anchor, key, text)
    if word == "@once":
        return Once(*(_instant(part, text) for part in rest.split(",")))
    if word == "@after":
        return AfterCompletion(_whole(rest, text))
    return Cron(body, key=key or None, **options)


def _every(rest: str, options: Mapping[str, Any], anchor: datetime, key: str, text: str) -> When:
    between, calendar = _BETWEEN.fullmatch(rest), _CALENDAR.fullmatch(rest)
    if between is not None:
        return EveryBetween(_whole(between[1], text), _whole(between[2], text), seed=key)
    if calendar is None:
        return Every(_whole(rest, text), anchor=anchor)
    every, unit, on, at = int(calendar[1] or 1), calendar[2], calendar[3], calendar[4].split(",")
    said = {"at": at, "every": every, "anchor": anchor, **options}
    if (unit == "day") != (on is None):
        raise InvalidSchedule(
            f"{short(text)}: weeks and months name their days, days do not.", 'Write "@every week on MON,FRI at 09:00".'
        )
    if unit == "day":
        return Daily(**said)
    if unit == "week":
        return Weekly(on=on.split(","), **said)
    return Monthly(on=[_number(part, text) for part in on.split(",")], **said)


def _whole(text: str, whole: str) -> timedelta:
    """Read a length of time as Go writes it; parts of a second are dropped. Source: robfig's ConstantDelaySchedule."""
    total, position = Fraction(0), 0
    while position < len(text):
        part = _LENGTH.match(text, position)
        if part is None:
            break
        total += Fraction(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not text or position < len(text) or not 1 <= total <= _LONGEST_LENGTH:
        raise InvalidSchedule(
            f"{short(whole)}: {short(text)} is no length of time from 1 second to 100 years.",
            'Write it as "10s", "5m" or "1h30m".',
        )
    return timedelta(seconds=int(total))


def _instant(text: str, whole: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSchedule(
            f"{short(whole)}: {short(text)} is no instant.", 'Write it as "2026-12-24T18:00:00Z".'
        ) from None


def _number(text: str, whole: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise InvalidSchedule(f"{short(whole)}: {short(text)} is no day of a month.", "Write 1 to 31, or -1 to -31.")
    return int(text)
