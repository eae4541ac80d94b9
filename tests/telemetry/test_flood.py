"""Successes for people: lines while they are few, a number a second when they are many."""

from __future__ import annotations

from collections.abc import Callable

from pgqueue.telemetry.events import Event
from pgqueue.telemetry.flood import MOST, Successes

SUCCESS = Event("job.succeeded", {"job": 1})


class Flood:
    """A flood under test: seconds pass when the test says so."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self._due: list[Callable[[], None]] = []
        self.successes = Successes(self.told.append, lambda _, call: self._due.append(call))

    def hear(self, number: int) -> None:
        """Let jobs succeed."""
        for _ in range(number):
            self.successes(SUCCESS)

    def second(self) -> bool:
        """Let a second pass; say whether anybody waited for it."""
        due, self._due = self._due, []
        for call in due:
            call()
        return bool(due)

    def lines(self) -> list[int]:
        """Return and forget what was told: 0 for a job, else the number of jobs."""
        told = [event.fields.get("jobs", 0) for event in self.told]
        self.told.clear()
        return told


def test_few_successes_are_told_one_by_one() -> None:
    flood = Flood()
    for _ in range(3):
        flood.hear(MOST)
        assert flood.lines() == [0] * MOST
        assert flood.second()
        assert flood.lines() == []


def test_the_successes_beyond_fifty_a_second_are_told_as_a_number() -> None:
    flood = Flood()
    flood.hear(MOST + 1153)
    assert flood.lines() == [0] * MOST
    flood.second()
    assert flood.lines() == [1153]


def test_a_lasting_flood_is_one_line_a_second_and_its_end_is_noticed() -> None:
    flood = Flood()
    flood.hear(1000)
    flood.second()
    flood.lines()
    for number in (1000, 800, 3):
        flood.hear(number)
        assert flood.lines() == []
        flood.second()
        assert flood.lines() == [number]
    flood.hear(1)
    assert flood.lines() == [0]


def test_after_a_flood_that_ended_the_next_success_is_told_at_once() -> None:
    flood = Flood()
    flood.hear(1000)
    assert flood.second()
    assert flood.second()
    assert not flood.second(), "nothing is timed while nothing happens"
    flood.lines()
    flood.hear(1)
    assert flood.lines() == [0]


def test_no_success_is_uncounted_when_the_worker_stops() -> None:
    flood = Flood()
    flood.hear(MOST + 7)
    flood.successes(Event("worker.stopped", {}))
    assert flood.lines() == [0] * MOST + [7]


def test_what_is_no_success_is_left_to_others() -> None:
    flood = Flood()
    flood.successes(Event("job.dead", {"job": 1}))
    assert flood.lines() == []
