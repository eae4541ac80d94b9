"""The shape of all background services: never dead, never silent."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue.telemetry.events import Events
from pgqueue.worker.service import LONGEST_PAUSE, Service, back_off
from tests.worker.harness import Heard


class Flaky(Service):
    """Fails so often, then rests until woken."""

    name = "flaky"

    def __init__(self, events: Events, failures: int) -> None:
        super().__init__(events)
        self.failures = failures
        self.rounds = 0
        self.rested = asyncio.Event()

    async def run_once(self) -> float | None:
        self.rounds += 1
        if self.rounds <= self.failures:
            raise OSError("away")
        self.rested.set()
        return None


async def test_a_failure_is_told_and_tried_again() -> None:
    events = Events()
    heard, service = Heard(events), Flaky(events, 2)
    service.start()
    async with asyncio.timeout(5):
        await service.rested.wait()
    failures = heard.named("service.failed")
    assert [(f["service"], f["error"]) for f in failures] == [("flaky", "OSError: away")] * 2
    assert failures[0]["again_in"] < failures[1]["again_in"]
    service.rested.clear()
    service.wake()
    async with asyncio.timeout(5):
        await service.rested.wait()
        await service.stop()
    assert service.rounds == 4


async def test_a_wake_during_a_round_is_not_lost() -> None:
    events = Events()

    class Busy(Service):
        rounds = 0

        async def run_once(self) -> float | None:
            self.rounds += 1
            if self.rounds == 1:
                self.wake()
            else:
                done.set()
            return None

    done = asyncio.Event()
    service = Busy(events)
    service.start()
    async with asyncio.timeout(5):
        await done.wait()
        await service.cancel()


def test_the_pause_after_failures_grows_and_is_capped() -> None:
    pauses = [back_off(failures) for failures in range(1, 60)]
    assert 0.08 <= pauses[0] <= 0.12
    assert max(pauses) <= LONGEST_PAUSE * 1.2
    assert min(pauses[6:]) >= LONGEST_PAUSE * 0.8
    assert back_off(100_000) <= LONGEST_PAUSE * 1.2


async def test_nobody_wakes_a_service_out_of_its_back_off_and_a_stop_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a service whose failure wakes itself runs thousands of times a second while the database is away."""
    monkeypatch.setattr("pgqueue.worker.service.FIRST_PAUSE", 3600.0)
    monkeypatch.setattr("pgqueue.worker.service.LONGEST_PAUSE", 3600.0)
    service = Flaky(Events(), 1_000_000)
    service.start()
    for _ in range(100):
        service.wake()
        await asyncio.sleep(0)
    assert service.rounds == 1
    async with asyncio.timeout(5):
        await service.stop()
