"""Schedules that a cron expression, a length of time or a list of instants makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from zoneinfo import ZoneInfo

from pgqueue.cron.daylight import FOLDS, GAPS, Fold, Gap, Step, next_instant
from pgqueue.cron.describe import describe_cron, length_words
from pgqueue.cron.expression import DIALECTS, Dialect, Expression, read_expression
from pgqueue.cron.when import When, aware
from pgqueue.cron.zones import zone
from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import InvalidOption, InvalidSchedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_INSTANTS = 1000

_MOST_RANDOM = 1000
_CHANCES = 1 << 64


@dataclass(frozen=True, eq=False)
class Zoned(When):
    """What follows the clocks of a zone.

    Attributes:
        tz: IANA name of the zone.
        gap: What becomes of a fixed time that the clock leaves out: "run" at the end of the gap, or "skip".
        fold: Whether a fixed time that comes twice is a tick "once", the first time, or in "both" passes.
    """

    tz: str = field(default="UTC", kw_only=True)
    gap: Gap = field(default="run", kw_only=True)
    fold: Fold = field(default="once", kw_only=True)

    def __post_init__(self) -> None:
        check_choice("gap", self.gap, GAPS)
        check_choice("fold", self.fold, FOLDS)
        zone(self.tz)

    @cached_property
    def place(self) -> ZoneInfo:
        """The zone."""
        return zone(self.tz)

    @property
    def prefix(self) -> str:
        """What stands before the text: all that is not as usual."""
        said = {"CRON_TZ": (self.tz, "UTC"), "GAP": (self.gap, "run"), "FOLD": (self.fold, "once")}
        return "".join(f"{name}={value} " for name, (value, usual) in said.items() if value != usual)

    def _next(self, step: Step, instant: datetime, *, fixed: bool) -> datetime | None:
        run_in_gap, once_in_fold = fixed and self.gap == "run", fixed and self.fold == "once"
        moment = aware(instant, "instant")
        try:
            return next_instant(step, moment, self.place, run_in_gap=run_in_gap, once_in_fold=once_in_fold)
        except OverflowError:  # the calendar ends
            return None


@dataclass(frozen=True, eq=False)
class Cron(Zoned):
    """What a cron expression says.

    Args:
        expression: "minute hour day-of-month month weekday", or six fields with seconds first, or "@daily" and its like.
        tz: IANA name of the zone.
        gap: What becomes of a fixed time that the clock leaves out: "run" at the end of the gap, or "skip".
        fold: Whether a fixed time that comes twice is a tick "once" or in "both" passes.
        dialect: "standard" is robfig's and gocron's; "extended" has L, W, # and H too; "quartz" is Quartz'.
        key: By what H is spread; the schedule's own key when it is stored.

    Raises:
        InvalidSchedule: The expression is not in the grammar, or no date ever matches, or the zone does not exist.
    """

    expression: str
    dialect: Dialect = field(default="standard", kw_only=True)
    key: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("dialect", self.dialect, DIALECTS)
        assert self.fields  # a wrong expression fails here

    @cached_property
    def fields(self) -> Expression:
        """The expression, read."""
        return read_expression(self.expression, self.dialect, self.key)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC; None when there is none within eight years."""
        return self._next(self.fields.next_wall, instant, fixed=self.fields.is_fixed)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return describe_cron(self.fields, self.tz)

    @property
    def text(self) -> str:
        """It in one line."""
        dialect = f"DIALECT={self.dialect} " if self.dialect != "standard" else ""
        return f"{dialect}{self.prefix}{' '.join(self.expression.split())}"


@dataclass(frozen=True, eq=False)
class Every(When):
    """Every so often, whatever a run takes and however often the scheduler restarts.

    Args:
        length: "10s", "1h30m", seconds, or a timedelta; whole seconds from 1 on.
        anchor: From when it is counted; when a schedule is stored, the second of its creation.

    Raises:
        InvalidSchedule: It is no such length.
    """

    length: Duration
    anchor: datetime = field(default=EPOCH, kw_only=True)

    def __post_init__(self) -> None:
        assert self.period
        aware(self.anchor, "anchor")

    @cached_property
    def period(self) -> timedelta:
        """The length."""
        return whole_seconds("every", self.length)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC: the anchor and a whole number of lengths, at least one."""
        anchor = self.anchor.astimezone(UTC).replace(microsecond=0)
        turns = max((aware(instant, "instant") - anchor) // self.period + 1, 1)
        return shifted(anchor, turns * self.period) if turns * self.period < timedelta.max / 2 else None

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return f"Every {length_words(self.period)}"

    @property
    def text(self) -> str:
        """It in one line."""
        return f"@every {int(self.period.total_seconds())}s"


@dataclass(frozen=True, eq=False)
class EveryBetween(When):
    """After a random time since the tick before, evenly from the shortest to the longest.

    The time is derived from the tick and the seed, so that who computes it again finds the same.

    Args:
        least: Shortest time, as for ``Every``.
        most: Longest time.
        seed: What makes it different from others; the schedule's key when it is stored.

    Raises:
        InvalidSchedule: They are no such lengths, or the longest is not longer.
    """

    least: Duration
    most: Duration
    seed: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not self.bounds[0] < self.bounds[1]:
            raise InvalidSchedule(
                f"The shortest time {short(self.least)} is not shorter than the longest {short(self.most)}.",
                "Pass the shorter one first, or use Every for one length.",
            )

    @cached_property
    def bounds(self) -> tuple[timedelta, timedelta]:
        """The shortest and the longest."""
        return whole_seconds("least", self.least), whole_seconds("most", self.most)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the tick that follows if the instant is one."""
        least, most = self.bounds
        moment = aware(instant, "instant").replace(microsecond=0)
        digest = blake2b(f"{self.seed}\0{moment.isoformat()}".encode(), digest_size=8).digest()
        spread = int((most - least).total_seconds()) + 1
        return shifted(moment, least + timedelta(seconds=int.from_bytes(digest, "big") * spread // _CHANCES))

    @property
    def is_series(self) -> bool:
        """It is not: each tick hangs on the one before."""
        return False

    def last_in(self, floor: datetime, now: datetime) -> datetime | None:
        """Return the last tick in (floor, now] if the floor was one. A long time is jumped over: nothing is lost of chance."""
        found, moment = None, max(floor, now - _MOST_RANDOM * self.bounds[1])
        while (tick := self.next_after(moment)) is not None and tick <= now:
            found = moment = tick
        return found

    def describe(self) -> str:
        """Return a sentence in plain English."""
        least, most = self.bounds
        return f"At random intervals of {length_words(least)} to {length_words(most)}"

    @property
    def text(self) -> str:
        """It in one line."""
        least, most = (int(bound.total_seconds()) for bound in self.bounds)
        return f"@every {least}s to {most}s"


@dataclass(frozen=True, eq=False)
class Once(When):
    """At one instant, or at several.

    Args:
        instants: With their zones; whole seconds, at most 1,000.

    Raises:
        InvalidSchedule: There is none, or one is no such instant.
    """

    instants: tuple[datetime, ...]

    def __init__(self, *instants: datetime) -> None:
        if not 1 <= len(instants) <= MOST_INSTANTS:
            raise InvalidSchedule(
                f"{len(instants)} instants cannot be a schedule, 1 to {MOST_INSTANTS} can.",
                "Enqueue the jobs with run_at=, or make several schedules.",
            )
        read = sorted({aware(instant, "instant") for instant in instants})
        for instant in read:
            if instant.microsecond:
                raise InvalidSchedule(f"{instant.isoformat()} is no whole second.", "Use .replace(microsecond=0).")
        object.__setattr__(self, "instants", tuple(read))

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first of the instants strictly after another."""
        moment = aware(instant, "instant")
        return next((tick for tick in self.instants if tick > moment), None)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        first, *others = (f"{tick:%Y-%m-%d %H:%M:%S}" for tick in self.instants)
        return (
            f"At {first} and at {len(others)} more, the last {others[-1]}, UTC" if others else f"Once at {first}, UTC"
        )

    @property
    def text(self) -> str:
        """It in one line."""
        return f"@once {','.join(f'{tick:%Y-%m-%dT%H:%M:%SZ}' for tick in self.instants)}"


@dataclass(frozen=True, eq=False)
class AfterCompletion(When):
    """So long after the run before has ended, however it ended.

    Args:
        length: As for ``Every``.

    Raises:
        InvalidSchedule: It is no such length.
    """

    length: Duration

    def __post_init__(self) -> None:
        assert self.period

    @cached_property
    def period(self) -> timedelta:
        """The length."""
        return whole_seconds("after", self.length)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the tick that follows if a run ended at the instant, in whole seconds and not sooner."""
        moment = aware(instant, "instant")
        rest = timedelta(seconds=1) if moment.microsecond else timedelta()
        return shifted(moment.replace(microsecond=0), self.period + rest)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return f"{length_words(self.period).capitalize()} after the run before has ended"

    @property
    def text(self) -> str:
        """It in one line."""
        return f"@after {int(self.period.total_seconds())}s"


def check_choice(option: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the words.

    Raises:
        InvalidSchedule: As said.
    """
    if value not in choices:
        raise InvalidSchedule(f"{option}={short(value)} is unknown.", f"Choose one of {', '.join(choices)}.")


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


def shifted(moment: datetime, length: timedelta) -> datetime | None:
    """Return a later instant, None when the calendar ends before it."""
    try:
        return moment + length
    except OverflowError:
        return None
