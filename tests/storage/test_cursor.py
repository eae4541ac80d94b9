"""The exact cursor: whatever transactions do, each committed entry is read, and without the safety scan."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.postgres.cursor import REREAD_EVERY, LaneCursor, Reading, Snapshot
from tests.storage.lane_model import LEVELS, Lane, Reader

Kind = type[LaneCursor[int]]
Scenario = Callable[[Kind], Reader]


class WithoutFloors(LaneCursor[int]):
    """Forgets who was in progress."""

    def _set_floors(self, seen: Snapshot, before: dict[int, int]) -> None:
        pass


class OnlyListed(LaneCursor[int]):
    """Trusts the snapshot's list, which ends at xmax."""

    def _set_floors(self, seen: Snapshot, before: dict[int, int]) -> None:
        super()._set_floors(seen._replace(own=None), before)


class NewestFloor(LaneCursor[int]):
    """Gives a known transaction a new floor with each move."""

    def _set_floors(self, seen: Snapshot, before: dict[int, int]) -> None:
        for xid in (*seen.in_progress, *range(seen.xmax, seen.own or seen.xmax)):
            self._floors[xid] = before


class FloorsWhereTheReadBegan(LaneCursor[int]):
    """Takes the start of a re-read for the floor of who is first seen in it."""

    _begun: dict[int, int]

    def finish(self, reading: Reading[int], *arguments: object, **named: object) -> None:
        self._begun = dict(reading.start)
        super().finish(reading, *arguments, **named)  # type: ignore[arg-type]

    def _set_floors(self, seen: Snapshot, before: dict[int, int]) -> None:
        super()._set_floors(seen, self._begun)


class OnlyForward(LaneCursor[int]):
    """Stays at its position although a re-read was full."""

    def _move(self, level: int, start: int, last: int | None, full: bool) -> None:
        super()._move(level, start, last, full=False)


class ForgetsUnreadLevels(LaneCursor[int]):
    """Takes a level that a full re-read did not reach for read."""

    def _move(self, level: int, start: int, last: int | None, full: bool) -> None:
        super()._move(level, start, last, full=full and last is not None)


class FloorsForEntriesOnly(LaneCursor[int]):
    """Notices ended transactions only when it found something."""

    def finish(self, reading: Reading[int], *arguments: object, **named: object) -> None:
        self._found = bool(arguments[0])
        super().finish(reading, *arguments, **named)  # type: ignore[arg-type]

    def observe(self, seen: Snapshot) -> None:
        if self._found:
            super().observe(seen)


MUTATIONS: list[Kind] = [
    WithoutFloors, OnlyListed, NewestFloor, OnlyForward, ForgetsUnreadLevels, FloorsForEntriesOnly,
]  # fmt: skip

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["begin", "begin", "open"]), st.integers(0, 9), st.sampled_from(LEVELS)),
        st.tuples(st.sampled_from(["write", "commit", "commit", "rollback"]), st.integers(0, 9), st.sampled_from(LEVELS)),
        st.tuples(st.just("claim"), st.integers(1, 50), st.integers(0, 1)),
        st.tuples(st.sampled_from(["claim", "claim between"]), st.integers(1, 4), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 9), st.just(0)),
    ),
    max_size=60,
)  # fmt: skip
Step = tuple[str, int, int]


class History:
    """Plays steps on a lane with two readers."""

    def __init__(self, kind: Kind, *, readers: int = 2) -> None:
        self.lane = Lane()
        self.readers = [Reader(self.lane, kind) for _ in range(readers)]

    def play(self, steps: list[Step]) -> None:
        """Do the steps, end what is open, and read to the end."""
        waiting = list(steps)
        while waiting:
            self._step(waiting)
        for number, transaction in enumerate(list(self.lane.open)):
            (self.lane.commit if number % 3 else self.lane.roll_back)(transaction)
        for reader in self.readers:
            reader.drain(7)

    def missed(self) -> set[tuple[int, int]]:
        """Return what was committed and never read; check that nothing else was read, and nothing twice."""
        got = [entry for reader in self.readers for entry in reader.got]
        assert len(got) == len(set(got))
        assert set(got) <= self.lane.committed
        return self.lane.committed - set(got)

    def _step(self, waiting: list[Step]) -> None:
        what, number, choice = waiting.pop(0)
        if what.startswith("claim"):
            self._claim(self.readers[choice % len(self.readers)], number, waiting if what == "claim between" else [])
        elif what == "wait":
            for reader in self.readers:
                reader.now += number / 50
        else:
            self._transact(what, number, choice)

    def _claim(self, reader: Reader, limit: int, waiting: list[Step]) -> None:
        def meanwhile() -> None:
            for _ in range(3):
                if waiting and not waiting[0][0].startswith("claim"):
                    self._step(waiting)

        reader.claim(limit, meanwhile)

    def _transact(self, what: str, number: int, level: int) -> None:
        if what in ("begin", "open") or not self.lane.open:
            transaction = self.lane.begin()
            if what == "begin":
                self.lane.write(transaction, level)
            return
        transaction = self.lane.open[number % len(self.lane.open)]
        if what == "write":
            self.lane.write(transaction, level)
        elif what == "commit":
            self.lane.commit(transaction)
        else:
            self.lane.roll_back(transaction)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(STEPS)
def test_every_committed_entry_is_read_exactly_once_without_the_safety_scan(steps: list[Step]) -> None:
    history = History(LaneCursor)
    history.play(steps)
    assert history.missed() == set()


def _random_steps(source: random.Random) -> list[Step]:
    kinds = ["begin"] * 4 + ["write"] * 3 + ["commit"] * 3 + ["rollback", "claim", "claim", "claim between", "wait"]
    return [_random_step(source, source.choice(kinds)) for _ in range(60)]


def _random_step(source: random.Random, what: str) -> Step:
    if what.startswith("claim"):
        return what, source.choice([1, 2, 4, 50]), source.randint(0, 1)
    return what, source.randint(0, 9), source.choice(LEVELS)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_random_histories_find_each_mutation(mutation: Kind) -> None:
    """The model is worth something: without any one ingredient, some history misses entries."""
    for seed in range(2000):
        steps = _random_steps(random.Random(seed))
        mutated, real = History(mutation, readers=1), History(LaneCursor, readers=1)
        mutated.play(steps)
        real.play(steps)
        assert real.missed() == set(), f"seed {seed}"
        if mutated.missed():
            return
    pytest.fail("no history found it")


def _late_commit(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    late, other = lane.begin(), lane.begin()
    lane.write(late)
    lane.write(other)
    lane.commit(other)
    reader.drain()
    lane.commit(late)
    reader.drain()
    return reader


def test_without_floors_a_late_commit_is_missed() -> None:
    _only_the_real_one_reads_all(_late_commit, WithoutFloors)


def _late_commit_above_xmax(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    early, late = lane.begin(), lane.begin()
    lane.write(late)
    lane.write(early)
    lane.commit(early)
    assert lane.snapshot() == Snapshot(late.xid, [], None)
    reader.drain()
    lane.commit(late)
    reader.drain()
    return reader


def test_without_the_xids_from_xmax_to_the_own_one_a_commit_is_missed() -> None:
    _only_the_real_one_reads_all(_late_commit_above_xmax, OnlyListed)


def _begun_after_the_snapshot(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    lane.add()
    begun = []
    reader.claim(meanwhile=lambda: begun.append(lane.begin()))
    lane.write(begun[0])
    lane.add()
    reader.drain()
    lane.commit(begun[0])
    reader.drain()
    return reader


def test_a_transaction_that_begins_between_the_snapshot_and_the_own_xid_is_known() -> None:
    _only_the_real_one_reads_all(_begun_after_the_snapshot, WithoutFloors)


def _two_moves_under_one_transaction(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    late = lane.begin()
    lane.write(late)
    for _ in range(3):
        lane.add()
        reader.drain()
    lane.commit(late)
    reader.drain()
    return reader


def test_without_keeping_the_first_floor_a_commit_under_two_moves_is_missed() -> None:
    _only_the_real_one_reads_all(_two_moves_under_one_transaction, NewestFloor)


def _full_reread(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    late = lane.begin()
    for _ in range(5):
        lane.write(late)
    lane.add()
    reader.drain()
    lane.commit(late)
    reader.claim(2)
    reader.drain(2)
    return reader


def test_without_going_back_to_its_last_key_a_full_reread_loses_the_rest() -> None:
    _only_the_real_one_reads_all(_full_reread, OnlyForward)


def _full_reread_of_one_level(kind: Kind) -> Reader:
    lane = Lane()
    reader = Reader(lane, kind)
    late = lane.begin()
    for level in (5, 5, 0):
        lane.write(late, level)
    lane.add(5, 0)
    reader.drain()
    lane.commit(late)
    reader.claim(50)
    reader.claim(2)
    reader.drain()
    return reader


def test_a_level_that_a_full_reread_did_not_reach_is_read_later() -> None:
    _only_the_real_one_reads_all(_full_reread_of_one_level, ForgetsUnreadLevels)


def _only_the_real_one_reads_all(scenario: Scenario, mutation: Kind) -> None:
    real, mutated = scenario(LaneCursor), scenario(mutation)
    assert set(real.got) == real.lane.committed
    assert set(mutated.got) < mutated.lane.committed


def _walked_with_overlapping_transactions(kind: Kind, rounds: int) -> float:
    """Return keys walked again per entry, while there are always eight transactions, each open for eight claims."""
    lane = Lane()
    reader = Reader(lane, kind)
    foreign = [lane.begin() for _ in range(8)]
    for number in range(rounds):
        lane.commit(foreign[number % 8])
        foreign[number % 8] = lane.begin()
        lane.add(*[0] * 10)
        reader.now += REREAD_EVERY
        reader.claim(50)
    return reader.walked / len(reader.got)


def test_floors_are_positions_so_rereads_do_not_feed_each_other() -> None:
    short, long = (_walked_with_overlapping_transactions(LaneCursor, rounds) for rounds in (50, 200))
    assert long < short * 1.5
    short, long = (_walked_with_overlapping_transactions(FloorsWhereTheReadBegan, rounds) for rounds in (50, 200))
    assert long > short * 2


def test_a_busy_reader_reads_again_at_most_every_tenth_of_a_second() -> None:
    cursor: LaneCursor[int] = LaneCursor((0,), 0)
    scan = cursor.begin(0.0, idle=True)
    cursor.finish(scan, {0: 5}, Snapshot(10, [7, 8], 11), full=True, now=0.0)
    assert not cursor.begin(0.01, idle=True).redo
    cursor.finish(cursor.begin(0.01, idle=False), {0: 9}, Snapshot(12, [8], 13), full=True, now=0.01)
    assert cursor.pending
    assert not cursor.begin(0.05, idle=False).redo
    assert cursor.begin(0.05, idle=True).redo
    again = cursor.begin(REREAD_EVERY, idle=False)
    assert again.redo
    assert again.start == {0: 0}


def test_the_safety_scan_comes_at_first_then_by_its_own_duration_and_on_demand() -> None:
    cursor: LaneCursor[int] = LaneCursor((0,), 0)
    assert cursor.begin(0.0, idle=False).scan
    cursor.finish(cursor.begin(0.0, idle=False), {0: 5}, Snapshot(10, [], 11), full=False, now=0.2)
    assert not cursor.begin(4.1, idle=True).scan
    assert cursor.begin(4.2, idle=False).start == {0: 0}
    cursor.scan_soon()
    assert cursor.begin(0.3, idle=False).scan


def test_keys_may_be_a_due_time_and_an_id() -> None:
    origin = (datetime(1, 1, 1, tzinfo=UTC), 0)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    cursor: LaneCursor[tuple[datetime, int]] = LaneCursor((0,), origin)
    cursor.finish(cursor.begin(0.0, idle=True), {0: (noon, 7)}, Snapshot(10, [8], 11), full=False, now=0.0)
    cursor.finish(
        cursor.begin(0.1, idle=True), {0: (noon + timedelta(seconds=1), 3)}, Snapshot(12, [], 12), full=False, now=0.1
    )
    assert cursor.pending
    assert cursor.begin(0.2, idle=True).start == {0: origin}
