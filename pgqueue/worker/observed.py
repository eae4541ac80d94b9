"""How a worker is, as those see it who watch it: a health check, systemd, a file. The parent of several is seen alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Observed(Protocol):
    """What can be seen from any thread, without waiting."""

    @property
    def is_live(self) -> bool:
        """Whether its event loop turned within the last 30 s."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it holds its lease and takes jobs."""
        ...

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        ...

    @property
    def is_sound(self) -> bool:
        """Whether all that it needs still runs; a database that is away does not count."""
        ...

    def summary(self) -> str:
        """Say it in a few words."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Say all of it, in values that JSON has."""
        ...


class Follower(Protocol):
    """Whoever is told at least once a second, from the event loop."""

    def follow(self, seen: Observed) -> None:
        """Look at it and do what follows; it must not wait."""
        ...
