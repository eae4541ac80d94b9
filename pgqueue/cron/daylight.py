"""From wall-clock time to instants: what happens when a zone's clock is put forward (a gap) or back (a fold).

The rule is that of classic cron. What names times of day is fixed: it runs once a day, in a gap at its end, in a fold in
the first pass. What follows the clock, because its minute or hour begins with "*", has nothing in a gap and both passes of
a fold. ``gap="skip", fold="both"`` is robfig's rule for all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from pgqueue.cron.zones import Change, first_change, is_second_pass, offset_at

Gap: TypeAlias = Literal["run", "skip"]
Fold: TypeAlias = Literal["once", "both"]
Step: TypeAlias = Callable[[datetime], datetime | None]

GAPS: tuple[Gap, ...] = ("run", "skip")
FOLDS: tuple[Fold, ...] = ("once", "both")


def next_instant(
    step: Step, after: datetime, place: ZoneInfo, *, run_in_gap: bool, once_in_fold: bool
) -> datetime | None:
    """Return the next instant strictly after another at which the zone's clock shows a time of a series.

    Args:
        step: Returns the series' next wall-clock time after one.
        after: The instant, with its zone.
        place: The zone.
        run_in_gap: Whether what falls into a gap comes at its end; else it is left out.
        once_in_fold: Whether the second pass of a fold is left out.

    Returns:
        The instant in UTC; None when the series ends.
    """
    floor = after.astimezone(UTC).replace(tzinfo=None)
    offset = offset_at(place, floor)
    cursor = floor + offset
    while (wall := step(cursor)) is not None:
        change = first_change(place, floor, wall - offset)
        if change is not None:
            if run_in_gap and _is_in_gap(wall, change):
                return change.at.replace(tzinfo=UTC)
            floor, offset, cursor = change.at, change.behind, change.at + change.behind - datetime.resolution
        elif once_in_fold and is_second_pass(place, wall - offset):
            cursor = wall
        else:
            return (wall - offset).replace(tzinfo=UTC)
    return None


def _is_in_gap(wall: datetime, change: Change) -> bool:
    return change.at + change.before <= wall < change.at + change.behind
