"""Schedules that a cron expression, a length of time or a list of instants makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pgqueue.cron.checks import CHANCES, aware, chance, check_choice, whole_seconds
from pgqueue.cron.daylight import FOLDS, GAPS, Fold, Gap, Step, next_instant
from pgqueue.cron.describe import describe_cron, length_words
from pgqueue.cron.expression import DIALECTS, Dialect, Expression, read_expression
from pgqueue.cron.when import When
from pgqueue.cron.zones import zone
from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration
from pgqueue.model.errors import InvalidSchedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_INSTANTS = 1000

_MOST_RANDOM = 1000


@dataclass(frozen=True, eq=False)
class Zoned(When):
    """What follows the clocks of a zone.

    Attributes:
        tz: IANA name of the zone.
        gap: What becomes of a fixed time that the clock leaves out: "run" at the end of the gap, or "skip".
        fold: Whether a fixed time that comes twice is a tick "once", the first time, or in "both" passes.
        place: The zone.
    """

    tz: str = field(default="UTC", kw_only=True)
    gap: Gap = field(default="run", kw_only=True)
    fold: Fold = field(default="once", kw_only=True)
    place: ZoneInfo = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_choice("gap", self.gap, GAPS)
        check_choice("fold", self.fold, FOLDS)
        self._keep(place=zone(self.tz))

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
    fields: Expression = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("dialect", self.dialect, DIALECTS)
        self._keep(fields=read_expression(self.expression, self.dialect, self.key))

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

    @property
    def _said(self) -> tuple[object, ...]:
        return self.text, self.key


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
    period: timedelta = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keep(period=whole_seconds("every", self.length))
        aware(self.anchor, "anchor")

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC: the anchor and a whole number of lengths, at least one."""
        anchor = self.anchor.astimezone(UTC).replace(microsecond=0)
        turns = max((aware(instant, "instant") - anchor) // self.period + 1, 1)
        return shifted(anchor, turns * self.period)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        told = length_words(self.period)
        return f"Every {told.removeprefix('1 ') if told.count(' ') == 1 else told}"

    @property
    def text(self) -> str:
        """It in one line."""
        return f"@every {int(self.period.total_seconds())}s"

    @property
    def _said(self) -> tuple[object, ...]:
        return self.text, self.anchor


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
    bounds: tuple[timedelta, timedelta] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keep(bounds=(whole_seconds("least", self.least), whole_seconds("most", self.most)))
        if not self.bounds[0] < self.bounds[1]:
            raise InvalidSchedule(
                f"The shortest time {short(self.least)} is not shorter than the longest {short(self.most)}.",
                "Pass the shorter one first, or use Every for one length.",
            )

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the tick that follows if the instant is one."""
        least, most = self.bounds
        moment = aware(instant, "instant").replace(microsecond=0)
        spread = int((most - least).total_seconds()) + 1
        more = chance(self.seed, moment.isoformat()) * spread // CHANCES
        return shifted(moment, least + timedelta(seconds=more))

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

    @property
    def _said(self) -> tuple[object, ...]:
        return self.text, self.seed


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
    period: timedelta = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keep(period=whole_seconds("after", self.length))

    @property
    def waits_for_runs(self) -> bool:
        """It does."""
        return True

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the tick that follows if a run ended at the instant, in whole seconds and not sooner."""
        moment = aware(instant, "instant")
        rest = timedelta(seconds=1) if moment.microsecond else timedelta()
        return shifted(moment.replace(microsecond=0), self.period + rest)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return f"{length_words(self.period)} after the run before has ended"

    @property
    def text(self) -> str:
        """It in one line."""
        return f"@after {int(self.period.total_seconds())}s"


def shifted(moment: datetime, length: timedelta) -> datetime | None:
    """Return a later instant, None when the calendar ends before it."""
    try:
        return moment + length
    except OverflowError:
        return None
