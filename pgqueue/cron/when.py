"""What every kind of schedule answers: the next tick, the last one, and the next few."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta

Next = Callable[[datetime], datetime | None]

_SECOND = timedelta(seconds=1)
_WIDER = 8


class When(ABC):
    """When something happens. Immutable; any thread may ask.

    Ticks are instants in whole seconds. What is said of them depends on nothing but the arguments.
    """

    @abstractmethod
    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC; None when there is none."""

    @property
    def is_series(self) -> bool:
        """Whether the ticks are the same wherever one begins to ask."""
        return True

    @property
    def waits_for_runs(self) -> bool:
        """Whether the next tick is known only when the run before has ended."""
        return False

    @abstractmethod
    def describe(self) -> str:
        """Return a sentence in plain English."""

    @property
    @abstractmethod
    def text(self) -> str:
        """It in one line, as it is stored, and as ``parse`` reads it."""

    def __eq__(self, other: object) -> bool:
        """Whether they say the same."""
        return isinstance(other, When) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def _said(self) -> tuple[object, ...]:
        """What makes it equal to another."""
        return (self.text,)

    def _keep(self, **read: object) -> None:
        """Keep what was read from the arguments, while it is made."""
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def last_in(self, floor: datetime, now: datetime) -> datetime | None:
        """Return the last tick in (floor, now], None when there is none, without walking over those before."""
        return last_in(self.next_after, floor, now)

    def upcoming(self, instant: datetime, count: int) -> list[datetime]:
        """Return the next ticks strictly after an instant, at most ``count``, in UTC."""
        return upcoming(self.next_after, instant, count)


def upcoming(next_after: Next, instant: datetime, count: int) -> list[datetime]:
    """Return the next ticks of a series strictly after an instant, at most ``count``."""
    ticks: list[datetime] = []
    found = next_after(instant)
    while found is not None and len(ticks) < count:
        ticks.append(found)
        found = next_after(found)
    return ticks


def last_in(next_after: Next, floor: datetime, now: datetime) -> datetime | None:
    """Return the last tick in (floor, now] of a series.

    Widens a window that ends now until a tick is in it, then halves: a year of missed minutes takes a few questions.
    """

    def has_tick(after: datetime) -> datetime | None:
        found = next_after(after)
        return found if found is not None and found <= now else None

    width, found = _SECOND, None
    while found is None and now - width > floor:
        found, width = has_tick(now - width), width * _WIDER
    found = found or has_tick(floor)
    return None if found is None else _latest(has_tick, found, now)


def _latest(has_tick: Next, found: datetime, now: datetime) -> datetime:
    """Return the latest tick, given that this is one of them."""
    high = now
    while (later := has_tick(found)) is not None:
        found = later
        middle = found + (high - found) / 2
        beyond = has_tick(middle)
        if beyond is None:
            high = middle
        else:
            found = beyond
    return found
