"""The beacon tells followers how the worker is, from the event loop: a loop that is blocked tells nobody that all is well."""

from __future__ import annotations

from pgqueue.telemetry.events import Events
from pgqueue.worker.observed import Follower
from pgqueue.worker.outlook import Outlook
from pgqueue.worker.service import Service

EVERY = 1.0


class Beacon(Service):
    """Runs once a second, and whenever something changed."""

    name = "beacon"

    def __init__(self, outlook: Outlook, events: Events) -> None:
        super().__init__(events)
        self._outlook = outlook
        self._followers: list[Follower] = []
        self._failing: set[int] = set()
        self._every = EVERY

    def add(self, follower: Follower, every: float | None) -> None:
        """Tell this follower too, at least so often."""
        self._followers.append(follower)
        self._every = min(self._every, every or self._every)

    async def run_once(self) -> float | None:
        """Tell all; return the seconds until the next round."""
        self.tell()
        return self._every

    def tell(self) -> None:
        """Tell all now. Of one that fails it is told once; it is tried again in each round."""
        for follower in self._followers:
            try:
                follower.follow(self._outlook)
                self._failing.discard(id(follower))
            except Exception as error:  # noqa: BLE001 - whoever watches must not hold up what is watched
                if id(follower) not in self._failing:
                    self._failing.add(id(follower))
                    self.events.tell_failure(type(follower).__name__, error, self._every)
