"""Options of a job: what may be said, what it defaults to, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict, TypeGuard

from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import InvalidOption
from pgqueue.model.unique import LONGEST_KEY, Unique, check_unique

# The database applies the same values when an option is left out; a test compares both.
DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 0
DEFAULT_MAX_RETRIES = 25
DEFAULT_TIMEOUT = 1800.0

LARGEST_NOTES = 256 * 1024  # bytes of headers, and of tags
LONGEST_TIMEOUT = 24 * 86400.0
LONGEST_QUEUE_NAME = 100
LONGEST_TASK_NAME = 200
MOST_RETRIES = 32766


class Options(TypedDict, total=False):
    """Options of one enqueue, as keywords of ``using``."""

    queue: str
    priority: int
    delay: Duration
    run_at: datetime
    max_retries: int
    timeout: Duration
    deadline: datetime
    expires_at: datetime
    expires_in: Duration
    headers: Mapping[str, str]
    tags: Sequence[str]
    key: str
    unique: bool | Unique


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of a job, checked. None leaves the default to the database.

    Attributes:
        queue: Name of the queue; "default".
        priority: 0 to 9, higher is served first; 0.
        delay: Seconds from the moment the job is written.
        run_at: Aware datetime; excludes delay.
        max_retries: Retries after the first attempt; 25.
        timeout: Seconds that one attempt may take; 1800.
        deadline: Aware datetime by which every attempt ends, whatever its timeout.
        expires_at: Aware datetime; not started by then, the job ends as expired.
        expires_in: Seconds from the moment the job is written until it expires; excludes expires_at.
        headers: Text by name, handed to the handler unchanged.
        tags: Words to find the job by.
        key: The caller's own id: at most one job of it in the queue, as ``unique`` says; by default until it ends.
        unique: Whether calls with the same arguments share a key; False: they do not, whatever the task says.
    """

    queue: str | None = None
    priority: int | None = None
    delay: float | None = None
    run_at: datetime | None = None
    max_retries: int | None = None
    timeout: float | None = None
    deadline: datetime | None = None
    expires_at: datetime | None = None
    expires_in: float | None = None
    headers: Mapping[str, str] | None = None
    tags: tuple[str, ...] | None = None
    key: str | None = None
    unique: Unique | Literal[False] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> JobOptions:
        """Check options as a caller wrote them.

        Raises:
            InvalidOption: An option is unknown, of the wrong type, or outside its range.
        """
        unknown = options.keys() - _CHECKS.keys()
        if unknown:
            raise InvalidOption(
                f"{', '.join(sorted(unknown))} is not an option of a job.",
                f"The options are {', '.join(_CHECKS)}.",
            )
        chosen: dict[str, Any] = {name: _CHECKS[name](value) for name, value in options.items() if value is not None}
        checked = cls(**chosen)
        if checked.key is not None and checked.unique is not None and (not checked.unique or checked.unique.args):
            raise InvalidOption(
                f"key={checked.key!r} and unique={checked.unique!r} contradict each other.",
                "Pass the key alone, or with Unique(scope=..., period=..., on_conflict=...) without args.",
            )
        if checked.delay is not None and checked.run_at is not None:
            raise InvalidOption(
                f"delay={checked.delay} and run_at={checked.run_at} exclude each other.",
                "Pass the relative delay or the absolute run_at.",
            )
        if checked.expires_in is not None and checked.expires_at is not None:
            raise InvalidOption(
                f"expires_in={checked.expires_in:g} and expires_at={checked.expires_at} exclude each other.",
                "Pass the relative expires_in or the absolute expires_at.",
            )
        return checked._startable()

    def over(self, below: JobOptions) -> JobOptions:
        """Return these options, with those of ``below`` where nothing is said here.

        Raises:
            InvalidOption: Together they make a job that could never start.
        """
        said = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        if "delay" in said or "run_at" in said:
            below = replace(below, delay=None, run_at=None)
        if "expires_in" in said or "expires_at" in said:
            below = replace(below, expires_in=None, expires_at=None)
        if "key" in said and below.unique and below.unique.args:  # the task's arguments name no key of the caller's own
            below = replace(below, unique=replace(below.unique, args=None))
        return replace(below, **said)._startable()

    def _startable(self) -> JobOptions:
        """Return these options, unless no job with them could ever start. Instants may pass, and the job expires as asked."""
        if self.expires_in is not None and self.delay is not None and self.delay >= self.expires_in:
            raise InvalidOption(
                f"expires_in={self.expires_in:g} is over before delay={self.delay:g} is, so the job would never start.",
                "Pass a longer expires_in, which counts from the enqueue.",
            )
        return self

    @property
    def is_limited(self) -> bool:
        """Whether the job has an instant by which it has ended, or has started."""
        return not (self.deadline is None and self.expires_at is None and self.expires_in is None)

    @property
    def shared(self) -> Unique | None:
        """How the job shares a key, None when it has none."""
        if self.key is not None:
            return self.unique or Unique()
        return self.unique or None


def check_queue(value: object) -> str:
    """Return a queue's name if it is one."""
    return _text(value, "queue", LONGEST_QUEUE_NAME)


def check_task_name(value: object) -> str:
    """Return a task's name if it is one."""
    return _text(value, "task name", LONGEST_TASK_NAME)


def check_max_retries(value: object) -> int:
    """Return a number of retries if it is one."""
    return check_whole_number(value, "max_retries", 0, MOST_RETRIES, "Pass 0 for a single attempt.")


def check_timeout(value: object) -> float:
    """Return seconds of a timeout if it is one."""
    length = seconds(value, "timeout")
    if not 0.001 <= length <= LONGEST_TIMEOUT:
        raise InvalidOption(f"timeout={short(value)} is not between 1 ms and 24 days.", "Leave it out for 30 minutes.")
    return length


def check_text(value: object, option: str) -> str:
    """Return text if PostgreSQL can hold it: no NUL, no lone surrogate."""
    if not isinstance(value, str):
        raise InvalidOption(f"{option} {short(value)} is not text.", "Pass a str.")
    if "\0" in value or (not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise InvalidOption(
            f"{option} {short(value)} holds a NUL or a lone surrogate, which PostgreSQL cannot store.",
            "Remove it.",
        )
    return str.__str__(value)  # plain, whatever a subclass makes of it


def _text(value: object, option: str, longest: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidOption(f"{option} {short(value)} is not text of 1 to {longest} characters.", "Pass a short name.")
    return check_text(value, option)


def is_whole_number(value: object, least: int, most: int) -> TypeGuard[int]:
    """Say whether a value is a whole number in a range; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def check_whole_number(value: object, option: str, least: int, most: int, remedy: str) -> int:
    """Return a whole number if it is one in the range."""
    if not is_whole_number(value, least, most):
        raise InvalidOption(f"{option}={short(value)} is not a whole number from {least} to {most}.", remedy)
    return int(value)  # plain: an enum's member is written by its name


def _priority(value: object) -> int:
    return check_whole_number(value, "priority", 0, 9, "9 is served first, 0 is the default.")


def _delay(value: object) -> float:
    return seconds(value, "delay")


def _instant(value: object, option: str, remedy: str) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidOption(f"{option}={short(value)} is not a datetime with a time zone.", remedy)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidOption(f"{option}={short(value)} is not between the years 1 and 9999 in UTC.", remedy) from None


def _run_at(value: object) -> datetime:
    remedy = "Pass datetime.now(timezone.utc) + ..., or use delay= for a relative time."
    return _instant(value, "run_at", remedy)


def _deadline(value: object) -> datetime:
    return _instant(value, "deadline", "Pass datetime.now(timezone.utc) + ..., or use timeout= for a length of time.")


def _expires_at(value: object) -> datetime:
    remedy = "Pass datetime.now(timezone.utc) + ..., or use expires_in= for a length of time."
    return _instant(value, "expires_at", remedy)


def _expires_in(value: object) -> float:
    length = seconds(value, "expires_in")
    if length < 0.001:
        raise InvalidOption(
            f"expires_in={short(value)} is less than 1 ms.", "Leave it out for a job that never expires."
        )
    return length


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidOption(f"headers={short(value)} is not a mapping of text to text.", "Pass a dict.")
    headers = {check_text(k, "header name"): check_text(v, f"header {short(k)}") for k, v in value.items()}
    _check_size("headers", (text for pair in headers.items() for text in pair))
    return headers


def _tags(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidOption(f"tags={short(value)} is not a list of text.", 'Pass a list, for example ["billing"].')
    tags = tuple(check_text(tag, "tag") for tag in value)
    _check_size("tags", tags)
    return tags


def _key(value: object) -> str:
    return _text(value, "key", LONGEST_KEY)


def _check_size(option: str, texts: Iterable[str]) -> None:
    size = sum(len(text.encode()) for text in texts)
    if size > LARGEST_NOTES:
        raise InvalidOption(
            f"{option} take {size} bytes, and a job holds at most {LARGEST_NOTES}.",
            "Store the data elsewhere and pass its key.",
        )


_CHECKS = {
    "queue": check_queue,
    "priority": _priority,
    "delay": _delay,
    "run_at": _run_at,
    "max_retries": check_max_retries,
    "timeout": check_timeout,
    "deadline": _deadline,
    "expires_at": _expires_at,
    "expires_in": _expires_in,
    "headers": _headers,
    "tags": _tags,
    "key": _key,
    "unique": check_unique,
}


def as_json(value: Mapping[str, Any]) -> str:
    """Write a mapping as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
