"""Whom the rescuer takes for dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from pgqueue.backend import Beats, Rescue, WorkerBackend
from pgqueue.model.errors import BackendUnavailable
from pgqueue.telemetry.events import Event, Events
from pgqueue.worker.rescuer import Rescuer
from pgqueue.worker.state import Timing
from tests.worker.fakes import OWN, Hands, state_of

TIMING = Timing(lease=20.0, sweep=4.0)


class Ward:
    """The workers' beat counters, and whom the rescuer gave up."""

    def __init__(self, clock: Hands) -> None:
        self.counters: dict[int, int] = {OWN: 3, 2: 7}
        self.orphans = False
        self.away = False
        self.answer_takes = 0.0
        self.given_up: list[dict[int, int]] = []
        self.answer = Rescue(0, 0, 0)
        self._clock = clock

    async def beats(self) -> Beats:
        if self.away:
            raise BackendUnavailable("away", "wait")
        self._clock.now += self.answer_takes
        return Beats(dict(self.counters), self.orphans)

    async def rescue(self, silent: Mapping[int, int]) -> Rescue:
        self.given_up.append(dict(silent))
        return self.answer


class Sweeps:
    """A rescuer whose clock the test moves."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.ward = Ward(self.clock)
        self.found = 0
        self.events: list[Event] = []
        events = Events()
        events.subscribe(self.events.append)
        state = state_of(self.clock, timing=TIMING)
        self._rescuer = Rescuer(state, cast("WorkerBackend", self.ward), self._find, events)

    def _find(self) -> None:
        self.found += 1

    async def at(self, second: float) -> float | None:
        self.clock.now = 1000.0 + second
        return await self._rescuer.run_once()


@pytest.fixture
def sweeps() -> Sweeps:
    return Sweeps()


async def test_who_is_silent_for_a_lease_is_given_up_with_the_beat_at_which_it_stopped(sweeps: Sweeps) -> None:
    for second in (0, 4, 8, 12, 16, 19.9):
        await sweeps.at(second)
    assert sweeps.ward.given_up == []
    await sweeps.at(20)
    assert sweeps.ward.given_up == [{2: 7}]


async def test_who_beats_is_not_given_up(sweeps: Sweeps) -> None:
    for second in range(0, 200, 4):
        if second % 16 == 0:
            sweeps.ward.counters[2] += 1
        await sweeps.at(second)
    assert sweeps.ward.given_up == []


async def test_a_counter_that_goes_back_is_a_sign_of_life(sweeps: Sweeps) -> None:
    for second in range(0, 100, 4):
        sweeps.ward.counters[2] -= 1
        await sweeps.at(second)
    assert sweeps.ward.given_up == []


async def test_nobody_judges_itself(sweeps: Sweeps) -> None:
    sweeps.ward.counters = {OWN: 3}
    for second in range(0, 100, 4):
        await sweeps.at(second)
    assert sweeps.ward.given_up == []


async def test_what_was_seen_before_a_gap_in_the_own_sight_does_not_count(sweeps: Sweeps) -> None:
    await sweeps.at(0)
    await sweeps.at(30)
    for second in (34, 38, 42, 46, 49.9):
        await sweeps.at(second)
    assert sweeps.ward.given_up == []
    await sweeps.at(50)
    assert sweeps.ward.given_up == [{2: 7}]


async def test_sweeps_that_failed_are_a_gap(sweeps: Sweeps) -> None:
    await sweeps.at(0)
    sweeps.ward.away = True
    for second in (4, 8, 12, 16, 20, 24):
        with pytest.raises(BackendUnavailable):
            await sweeps.at(second)
    sweeps.ward.away = False
    await sweeps.at(28)
    assert sweeps.ward.given_up == []


async def test_an_answer_that_took_long_is_a_gap(sweeps: Sweeps) -> None:
    """While the database stood still nobody could beat."""
    await sweeps.at(0)
    sweeps.ward.answer_takes = 25.0
    await sweeps.at(4)
    sweeps.ward.answer_takes = 0.0
    await sweeps.at(30)
    assert sweeps.ward.given_up == []


async def test_leases_without_a_worker_are_taken_at_once(sweeps: Sweeps) -> None:
    sweeps.ward.orphans = True
    await sweeps.at(0)
    assert sweeps.ward.given_up == [{}]


async def test_found_jobs_are_told_and_more_are_looked_for_at_once(sweeps: Sweeps) -> None:
    sweeps.ward.orphans = True
    sweeps.ward.answer = Rescue(1, 2, 30)
    assert await sweeps.at(0) == 0
    assert sweeps.found == 1
    assert [(e.name, dict(e.fields)) for e in sweeps.events] == [
        ("worker.rescued", {"workers": 1, "leases": 2, "jobs": 30})
    ]
    sweeps.ward.orphans = False
    pause = await sweeps.at(1)
    assert pause is not None
    assert 3.6 <= pause <= 4.4
