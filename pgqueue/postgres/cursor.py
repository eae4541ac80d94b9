"""The exact cursor over a lane: read on where the last read stopped, and miss nothing.

While any transaction holds a snapshot, dead lane entries cannot be cleaned, and a read from the start walks over all of
them. So the position is kept. What appears below it later was written by a transaction that was in progress when the
position moved. Because an entry's key is drawn after that transaction's first write, it has a transaction id below the
reader's own: it is listed in the reader's snapshot, or lies from the snapshot's xmax up to the own id. Each such id gets
the position as its floor, and once it has ended the lane is read again from there. A floor is a position, never the
start of a re-read: else re-reads would feed each other.

Entries skipped under the locks of another claim that is then rolled back are found in the same way, unless that claim's
id is above the reader's own: those are left to the safety scan from the start.
docs/decisions/0001-lanes.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", int, tuple[datetime, int])

REREAD_EVERY = 0.1
SCAN_EVERY = 1.0
SCAN_SHARE = 20


class Snapshot(NamedTuple):
    """Transactions as a statement saw them: xmax, ids in progress below it, and the statement's own id if it wrote."""

    xmax: int
    in_progress: Sequence[int]
    own: int | None


@dataclass(frozen=True, slots=True)
class Reading(Generic[Key]):
    """A read to be done: where it starts on each level, and what it covers."""

    start: Mapping[int, Key]
    redo: bool
    scan: bool
    began: float


class LaneCursor(Generic[Key]):
    """Positions on the levels (priorities) of one lane of one queue.

    Args:
        levels: The levels, in the order in which they are read.
        origin: A key below all others.
    """

    def __init__(self, levels: Sequence[int], origin: Key) -> None:
        self._origin: Key = origin
        self._levels = tuple(levels)
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next read starts at the origin."""
        self.position: dict[int, Key] = dict.fromkeys(self._levels, self._origin)
        self._floors: dict[int, dict[int, Key]] = {}
        self._redo: dict[int, Key] = {}
        self._next_redo = 0.0
        self._next_scan = 0.0

    def scan_soon(self) -> None:
        """Read all at the next opportunity."""
        self._next_scan = 0.0

    @property
    def pending(self) -> bool:
        """Whether entries may stand below the position: a transaction ended, or a scan was asked for."""
        return bool(self._redo) or self._next_scan == 0.0

    def begin(self, now: float, *, idle: bool) -> Reading[Key]:
        """Say where to read next: on from the position, again from a floor, or all.

        Args:
            now: Monotonic seconds.
            idle: Whether the last read found less than it asked for.
        """
        if now >= self._next_scan:
            return Reading(dict.fromkeys(self._levels, self._origin), redo=True, scan=True, began=now)
        if self._redo and (idle or now >= self._next_redo):
            start = {level: min(at, self._redo.get(level, at)) for level, at in self.position.items()}
            return Reading(start, redo=True, scan=False, began=now)
        return Reading(dict(self.position), redo=False, scan=False, began=now)

    def finish(self, reading: Reading[Key], last: Mapping[int, Key], seen: Snapshot, *, full: bool, now: float) -> None:
        """Take in what a read found.

        Args:
            last: The highest key taken on each level that gave any.
            seen: The read's snapshot.
            full: Whether the read filled its limit, so that more may follow.
            now: Monotonic seconds.
        """
        before = dict(self.position)
        if reading.redo:
            self._redo = {}
            self._next_redo = now + REREAD_EVERY
        if reading.scan:
            self._next_scan = now + max(SCAN_EVERY, SCAN_SHARE * (now - reading.began))
        self.observe(seen)
        for level in self._levels:
            self._move(level, reading.start[level], last.get(level), full)
        if last:
            self._set_floors(seen, before)
        self._redo = {level: at for level, at in self._redo.items() if at < self.position[level]}

    def observe(self, seen: Snapshot) -> None:
        """Note which transactions have ended; what they wrote below the position is read again."""
        listed = set(seen.in_progress)
        for xid in [x for x in self._floors if x < seen.xmax and x not in listed]:
            for level, floor in self._floors.pop(xid).items():
                self._redo[level] = min(self._redo.get(level, floor), floor)

    def _move(self, level: int, start: Key, last: Key | None, full: bool) -> None:
        if full and last is not None:
            self.position[level] = last  # also backwards: a full re-read leaves the rest to the next read
        elif full and start < self.position[level]:
            self.position[level] = start
        elif last is not None:
            self.position[level] = max(self.position[level], last)

    def _set_floors(self, seen: Snapshot, before: dict[int, Key]) -> None:
        own: int = seen.xmax if seen.own is None else seen.own
        for xid in (*seen.in_progress, *range(seen.xmax, own)):
            self._floors.setdefault(xid, before)
