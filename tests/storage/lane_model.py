"""A lane in memory, with transactions as PostgreSQL has them: what a cursor is tested against without a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pgqueue.postgres.cursor import LaneCursor, Snapshot

LEVELS = (5, 0)
SCAN_TOOK = 1e6  # the first scan took that long, so the next one is out of reach


@dataclass(slots=True)
class Transaction:
    """An open transaction: its id, and the entries that nobody else sees yet."""

    xid: int
    entries: list[tuple[int, int]] = field(default_factory=list)


class Lane:
    """Entries (level, seq) in the order of PostgreSQL: the seq is drawn after the transaction has its id."""

    def __init__(self) -> None:
        self.visible: set[tuple[int, int]] = set()
        self.committed: set[tuple[int, int]] = set()
        self.open: list[Transaction] = []
        self._next_xid = 100
        self._next_seq = 1
        self._highest_ended = 99

    def begin(self) -> Transaction:
        """Open a transaction; it has an id from its first write on, so from here on."""
        transaction = Transaction(self.take_xid())
        self.open.append(transaction)
        return transaction

    def take_xid(self) -> int:
        """Draw a transaction id."""
        self._next_xid += 1
        return self._next_xid - 1

    def write(self, transaction: Transaction, level: int = 0) -> tuple[int, int]:
        """Write an entry that shows when the transaction commits."""
        entry = (level, self._next_seq)
        self._next_seq += 1
        transaction.entries.append(entry)
        return entry

    def commit(self, transaction: Transaction) -> None:
        """Make the entries visible."""
        self.visible.update(transaction.entries)
        self.committed.update(transaction.entries)
        self._end(transaction)

    def roll_back(self, transaction: Transaction) -> None:
        """Drop the entries."""
        self._end(transaction)

    def end_xid(self, xid: int) -> None:
        """Note that a transaction id has ended: xmax is one above the highest of these."""
        self._highest_ended = max(self._highest_ended, xid)

    def snapshot(self) -> Snapshot:
        """Return what a statement that begins now sees of the open transactions: those below xmax only."""
        xmax = self._highest_ended + 1
        return Snapshot(xmax, [t.xid for t in self.open if t.xid < xmax], None)

    def add(self, *levels: int) -> None:
        """Commit a transaction with an entry on each level."""
        transaction = self.begin()
        for level in levels or (0,):
            self.write(transaction, level)
        self.commit(transaction)

    def _end(self, transaction: Transaction) -> None:
        self.open.remove(transaction)
        self.end_xid(transaction.xid)


class Reader:
    """Claims from a lane through a cursor. The safety scan happens once, at the start.

    Attributes:
        got: What it took, in order.
        walked: Keys between where re-reads started and the position: what they read for the second time.
    """

    def __init__(self, lane: Lane, kind: type[LaneCursor[int]] = LaneCursor) -> None:
        self.lane = lane
        self.cursor: LaneCursor[int] = kind(LEVELS, 0)
        self.got: list[tuple[int, int]] = []
        self.walked = 0
        self.now = SCAN_TOOK
        self._idle = True
        scan = self.cursor.begin(0.0, idle=True)
        self.cursor.finish(scan, {}, lane.snapshot(), full=False, now=self.now)

    def claim(self, limit: int = 50, meanwhile: Callable[[], None] = lambda: None) -> list[tuple[int, int]]:
        """Take up to ``limit`` entries; ``meanwhile`` happens between the claim's snapshot and its transaction id."""
        reading = self.cursor.begin(self.now, idle=self._idle)
        assert not reading.scan, "the safety scan must not help"
        self.walked += sum(self.cursor.position[level] - reading.start[level] for level in LEVELS)
        seen, visible = self.lane.snapshot(), set(self.lane.visible)
        meanwhile()
        taken = self._take(reading.start, visible & self.lane.visible, limit)
        if taken:
            own = self.lane.take_xid()
            self.lane.end_xid(own)
            seen = seen._replace(own=own)
        full = len(taken) >= limit
        self.cursor.finish(reading, _last(taken), seen, full=full, now=self.now)
        self._idle = not full
        return taken

    def drain(self, limit: int = 50) -> None:
        """Claim until nothing comes and nothing waits to be read again."""
        while self.claim(limit) or self.cursor.pending:
            pass

    def _take(self, start: Mapping[int, int], there: set[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
        found = [e for level in LEVELS for e in sorted(there) if e[0] == level and e[1] > start[level]]
        taken = found[:limit]
        self.lane.visible.difference_update(taken)
        self.got.extend(taken)
        return taken


def _last(taken: Sequence[tuple[int, int]]) -> dict[int, int]:
    last: dict[int, int] = {}
    for level, seq in taken:
        last[level] = max(last.get(level, 0), seq)
    return last
