"""The passing of time, as a parameter: services take a clock, tests give them one that they move."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds. Instants that are stored come from the database, never from here."""

    def __call__(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...


monotonic: Clock = time.monotonic
