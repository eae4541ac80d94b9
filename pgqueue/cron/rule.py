"""A schedule's rule: when, from when to when, how often at most, and what becomes of ticks that are late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pgqueue.cron.checks import CHANCES, aware, chance, check_choice, check_whole
from pgqueue.cron.when import When, upcoming
from pgqueue.model.errors import InvalidSchedule

CatchUp: TypeAlias = Literal["skip", "latest", "earliest", "all"]
CATCH_UPS: tuple[CatchUp, ...] = ("skip", "latest", "earliest", "all")

GRACE = timedelta(seconds=60)
WINDOW = timedelta(days=1)
LIMIT = 100
MOST_RUNS = 2_147_483_647  # PostgreSQL's integer
MOST_AT_ONCE = 1000

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Rule:
    """When a schedule's jobs are made.

    Attributes:
        when: The ticks.
        starts_at: No tick is before it.
        ends_at: No tick is after it.
        max_runs: So many jobs at most, then it is finished.
        jitter: Each job starts up to so much after its tick, and before the next one.
        grace: A tick is late when nobody decided it within this time.
        catch_up: Of late ticks "skip" all, or make a job of the "latest", the "earliest" or "all".
        catch_up_window: Ticks that are older make no job.
        catch_up_limit: So many late ticks at a time.

    Raises:
        InvalidSchedule: A value is outside its range, or no tick is between the start and the end.
    """

    when: When
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_runs: int | None = None
    jitter: timedelta = timedelta()
    grace: timedelta = GRACE
    catch_up: CatchUp = "latest"
    catch_up_window: timedelta = WINDOW
    catch_up_limit: int = LIMIT

    def __post_init__(self) -> None:
        check_choice("catch_up", self.catch_up, CATCH_UPS)
        check_whole("catch_up_limit", self.catch_up_limit, MOST_AT_ONCE, f"Leave it out for {LIMIT}.")
        if self.max_runs is not None:
            check_whole("max_runs", self.max_runs, MOST_RUNS, "Leave it out for no end.")
        starts_at = None if self.starts_at is None else aware(self.starts_at, "starts_at")
        ends_at = None if self.ends_at is None else aware(self.ends_at, "ends_at")
        if starts_at is not None and ends_at is not None and self.next_after(starts_at - _SECOND) is None:
            raise InvalidSchedule(
                f"No tick is between starts_at={starts_at.isoformat()} and ends_at={ends_at.isoformat()}.",
                "Pass a later ends_at.",
            )

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, between the start and the end; None when there is none."""
        found = self.when.next_after(self._floor(instant))
        return None if found is None or (self.ends_at is not None and found > self.ends_at) else found

    def last_in(self, floor: datetime, now: datetime) -> datetime | None:
        """Return the last tick in (floor, now] between the start and the end."""
        return self.when.last_in(self._floor(floor), now if self.ends_at is None else min(now, self.ends_at))

    def upcoming(self, instant: datetime, count: int) -> list[datetime]:
        """Return the next ticks strictly after an instant, at most ``count``."""
        return upcoming(self.next_after, instant, count)

    def run_at(self, key: str, tick: datetime) -> datetime:
        """Return when the job of a tick may start: within the jitter, and the same whoever computes it."""
        following = self.when.next_after(tick)
        room = self.jitter if following is None else min(self.jitter, following - tick - datetime.resolution)
        return tick + room * (chance(key, tick.isoformat()) / CHANCES)

    def _floor(self, instant: datetime) -> datetime:
        return instant if self.starts_at is None else max(instant, self.starts_at - datetime.resolution)
