"""Stepping from one wall-clock time to the next one that matches. The only place that knows croniter.

croniter sees neither what a user wrote nor a zone: only sorted numbers, and wall-clock time. All else it does differently
than robfig, or wrongly in some zone (docs/decisions/0020-cron.md).
"""

from __future__ import annotations

import threading
from datetime import datetime
from functools import lru_cache

from croniter import croniter

YEARS = 8  # from February 29, 2096 to the next one


class Stepper:
    """Finds the next match. One croniter serves all threads, behind a lock: it is a cursor, and making one costs 0.1 ms.

    Args:
        canonical: Six fields: seconds first, "*" or sorted numbers.
    """

    def __init__(self, canonical: str) -> None:
        self._lock = threading.Lock()
        self._croniter = croniter(
            canonical,
            datetime(2000, 1, 1),
            second_at_beginning=True,
            day_or=True,
            max_years_between_matches=YEARS,
        )

    def __call__(self, wall: datetime) -> datetime | None:
        """Return the next match strictly after a wall-clock time, None when there is none within eight years."""
        with self._lock:
            try:
                found: datetime = self._croniter.get_next(datetime, start_time=wall)
            except (ValueError, OverflowError):  # nothing matches, or the calendar ends
                return None
            return found


@lru_cache(maxsize=4096)
def stepper(canonical: str) -> Stepper:
    """Return the stepper of an expression; equal expressions share one."""
    return Stepper(canonical)
