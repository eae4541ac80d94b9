"""How much the claimer takes, when it looks, and what it hands back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from pgqueue.backend import Claim, WorkerBackend
from pgqueue.model.errors import BackendUnavailable
from pgqueue.telemetry.events import Events
from pgqueue.worker.claimer import HELD_SECONDS
from pgqueue.worker.finisher import MOST_PENDING, Finisher
from pgqueue.worker.portions import (
    COURTESY_SECONDS,
    LARGEST_CLAIM,
    MOST_AHEAD,
    RELAXED_SECONDS,
    SMALLEST_CLAIM,
    QueueState,
)
from tests.worker.bench import Bench
from tests.worker.fakes import outcome_of, state_of


async def test_at_first_it_takes_what_the_free_slots_can_run() -> None:
    bench = Bench({"default": 1000}, free=10)
    assert await bench.claimer.run_once() is not None
    assert bench.store.claims == [("default", 10)]
    assert bench.buffers.size == 10


async def test_it_takes_nothing_while_no_slot_is_free_and_nothing_is_known_of_the_pace() -> None:
    bench = Bench({"default": 1000}, free=0)
    await bench.claimer.run_once()
    assert bench.store.claims == []


async def test_it_takes_ahead_what_the_slots_will_take_in_a_tenth_of_a_second() -> None:
    bench = Bench({"default": 10_000}, free=100)
    await bench.claimer.run_once()
    bench.take(100)
    bench.clock.now += 0.1
    await bench.claimer.run_once()
    [_, (_, ahead)] = bench.store.claims
    assert ahead in {99, 100}, "100 in 0.1 s: 100 ahead"


async def test_a_claim_and_what_is_taken_ahead_are_bounded() -> None:
    bench = Bench({"default": 100_000}, free=400)
    for _ in range(40):
        await bench.claimer.run_once()
        bench.take(bench.buffers.size)
        bench.places.free = 400
        bench.clock.now += 0.02
    assert max(limit for _, limit in bench.store.claims) == LARGEST_CLAIM
    for _ in range(20):
        await bench.claimer.run_once()
    assert bench.buffers.size <= MOST_AHEAD + 400


async def test_nothing_is_claimed_while_half_of_what_may_be_ahead_is_there() -> None:
    bench = Bench({"default": 1000}, free=10)
    await bench.claimer.run_once()
    bench.buffers.take()
    await bench.claimer.run_once()
    assert len(bench.store.claims) == 1


async def test_without_the_lease_nothing_is_claimed() -> None:
    bench = Bench({"default": 1000}, free=10)
    bench.state.lease_until = bench.clock.now
    pause = await bench.claimer.run_once()
    assert bench.store.claims == []
    assert pause is not None
    assert 0 < pause <= 1
    bench.state.lease_until = bench.clock.now + 1
    await bench.claimer.run_once()
    assert len(bench.store.claims) == 1


async def test_a_worker_that_stops_claims_nothing() -> None:
    bench = Bench({"default": 1000}, free=10)
    bench.state.claiming = False
    assert await bench.claimer.run_once() is None
    assert bench.store.claims == []


async def test_while_too_many_outcomes_wait_nothing_is_claimed() -> None:
    bench = Bench({"default": 1000}, free=10)
    finisher = Finisher(bench.state, cast("WorkerBackend", bench.store), Events())
    for number in range(MOST_PENDING + 1):
        finisher.add(outcome_of(number))
    bench.outbox.is_behind = finisher.is_behind
    await bench.claimer.run_once()
    assert bench.store.claims == []


async def test_each_queue_gives_its_part_of_the_room() -> None:
    bench = Bench({"a": 1000, "b": 1000, "c": 1000}, free=100, weights={"a": 6, "b": 3, "c": 1})
    await bench.claimer.run_once()
    assert bench.store.claims == [("a", 60), ("b", 30), ("c", 10)]


async def test_an_empty_queue_is_put_to_rest_and_looked_at_within_a_poll() -> None:
    bench = Bench({"a": 0}, free=10)
    bench.state.woke = bench.clock.now
    pause = await bench.claimer.run_once()
    assert (bench.store.claims, bench.store.looks, bench.store.dozing) == ([("a", 10)], [["a"]], {"a"})
    assert pause is not None
    assert 0.75 <= pause <= 1
    assert await bench.claimer.run_once() is not None
    assert len(bench.store.claims) == len(bench.store.looks) == 1, "it rests"
    bench.store.ready["a"] = 3
    bench.clock.now += 1
    await bench.claimer.run_once()
    await bench.claimer.run_once()
    assert bench.buffers.size == 3


async def test_when_long_nothing_has_come_it_looks_less_often() -> None:
    bench = Bench({"a": 0}, free=10)
    timing = bench.state.timing
    bench.state.woke = bench.clock.now
    bench.clock.now += 10 * timing.idle_poll + 0.1
    pause = await bench.claimer.run_once()
    assert pause is not None
    assert 0.75 * timing.idle_poll <= pause <= timing.idle_poll
    bench.claimer.notify("a")
    bench.store.ready["a"] = 1
    await bench.claimer.run_once()
    assert bench.state.poll() == timing.poll, "a job came"


async def test_a_worker_that_nobody_can_notify_always_looks_at_each_poll() -> None:
    bench = Bench({"a": 0}, free=10)
    bench.state.listens = False
    pause = await bench.claimer.run_once()
    assert pause is not None
    assert pause <= bench.state.timing.poll


async def test_a_job_of_after_the_claim_is_seen_by_the_look_before_it_rests() -> None:
    bench = Bench({"a": 0}, free=10)

    async def doze(queues: Sequence[str], nap: float) -> None:
        bench.store.ready["a"] = 1

    bench.store.doze = doze  # type: ignore[method-assign]
    assert await bench.claimer.run_once() == 0
    await bench.claimer.run_once()
    assert bench.buffers.size == 1


async def test_while_a_transaction_may_have_missed_it_the_worker_looks_again_soon() -> None:
    bench = Bench({"a": 0}, free=10)
    bench.store.settled = False
    for _ in range(10):
        pause = await bench.claimer.run_once()
        assert pause is not None
        assert 0.019 <= pause <= 0.201
        bench.clock.now += pause
    assert len(bench.store.looks) == 10


async def test_a_notification_wakes_its_queue_only() -> None:
    bench = Bench({"a": 0, "b": 0}, free=10)
    await bench.claimer.run_once()
    bench.store.claims.clear()
    bench.store.ready = {"a": 2, "b": 2}
    bench.claimer.notify("b")
    await bench.claimer.run_once()
    assert [queue for queue, _ in bench.store.claims] == ["b"]
    bench.claimer.notify()
    await bench.claimer.run_once()
    assert {queue for queue, _ in bench.store.claims} == {"a", "b"}


async def test_jobs_that_no_slot_takes_for_a_second_are_handed_back_unrun() -> None:
    bench = Bench({"a": 10}, free=10)
    await bench.claimer.run_once()
    bench.take(4)
    bench.places.free = 0
    await bench.claimer.run_once()
    bench.clock.now += HELD_SECONDS - 0.01
    await bench.claimer.run_once()
    assert bench.outbox.outcomes == []
    bench.clock.now += 0.02
    await bench.claimer.run_once()
    assert [(o.verdict, o.started, o.delay) for o in bench.outbox.outcomes] == [("release", None, 0.0)] * 6
    assert bench.buffers.size == 0


async def test_what_slow_slots_would_take_longer_than_a_second_for_is_handed_back() -> None:
    bench = Bench({"a": 3000}, free=100)
    for _ in range(5):
        await bench.claimer.run_once()
        bench.take(bench.buffers.size)
        bench.places.free = 100
        bench.clock.now += 0.05
    await bench.claimer.run_once()
    bench.places.free, ahead = 0, bench.buffers.size
    assert ahead > 200
    for _ in range(8):
        bench.clock.now += 0.2
        assert bench.buffers.take() is not None or bench.outbox.outcomes, "now they take five a second"
        await bench.claimer.run_once()
    assert len(bench.outbox.outcomes) >= ahead - 8
    assert bench.buffers.size == 0


async def test_a_queue_gets_its_part_of_a_cycle_while_others_wait_here_at_any_pace() -> None:
    bench = Bench({"critical": 0, "low": 50}, free=50, weights={"critical": 10, "low": 1})
    while bench.store.ready["low"]:
        await bench.claimer.run_once()
        bench.claimer.notify("low")
    bench.places.free = 0
    assert (bench.buffers.size, bench.claimer.pace) == (50, 0)
    bench.store.ready["critical"] = 30
    bench.claimer.notify("critical")
    await bench.claimer.run_once()
    assert bench.buffers.waiting("critical") == 10
    assert [job.queue for job in (bench.buffers.take(), bench.buffers.take()) if job] == ["critical", "critical"]


async def test_what_one_claim_of_a_round_brings_waits_for_the_others() -> None:
    bench = Bench({"a": 100, "b": 100}, free=10)
    seen = []
    claim = bench.store.claim

    async def looked_at(queue: str, lease: int, limit: int) -> Claim:
        seen.append(bench.buffers.size)
        return await claim(queue, lease, limit)

    bench.store.claim = looked_at  # type: ignore[method-assign]
    await bench.claimer.run_once()
    assert (seen, bench.buffers.size) == ([0, 0], 10)


async def test_if_a_claim_of_a_round_fails_what_the_others_brought_runs() -> None:
    bench = Bench({"a": 100, "b": 100}, free=10)
    claim = bench.store.claim

    async def fails(queue: str, lease: int, limit: int) -> Claim:
        bench.store.away = queue == "b"
        return await claim(queue, lease, limit)

    bench.store.claim = fails  # type: ignore[method-assign]
    with pytest.raises(BackendUnavailable):
        await bench.claimer.run_once()
    assert bench.buffers.size == 5


async def test_large_parts_shrink_alike_to_what_a_claim_may_hold() -> None:
    bench = Bench({"a": 10_000, "b": 10_000, "c": 10_000}, free=1000, weights={"a": 6, "b": 3, "c": 1})
    await bench.claimer.run_once()
    assert bench.store.claims == [("a", LARGEST_CLAIM), ("b", LARGEST_CLAIM // 2), ("c", 84)]


async def test_a_queue_at_its_half_is_filled_up_together_with_the_others() -> None:
    bench = Bench({"a": 1000, "b": 1000}, free=100)
    await bench.claimer.run_once()
    woken = []
    bench.buffers.hungry = lambda: woken.append(bench.buffers.size)
    for _ in range(50):
        bench.buffers.take()
    assert woken == [51, 50], "each line says when it is at its half"
    await bench.claimer.run_once()
    assert bench.store.claims[2:] == [("a", 26), ("b", 26)]


async def test_strict_only_the_first_queue_that_has_jobs_is_asked_and_the_lower_ones_for_free_slots() -> None:
    bench = Bench({"high": 5, "low": 1000}, free=10, strict=True)
    await bench.claimer.run_once()
    assert bench.store.claims == [("high", 10)]
    bench.take(5)
    await bench.claimer.run_once()
    assert bench.store.claims[1:] == [("low", 5)]
    bench.places.free = 0
    bench.clock.now += 0.1
    bench.take(5)
    await bench.claimer.run_once()
    assert bench.claimer.pace > 0
    assert len(bench.store.claims) == 2, "no slot is free, so nothing of the lower queue is taken ahead"
    bench.store.ready["high"] = 100
    bench.claimer.notify("high")
    await bench.claimer.run_once()
    assert bench.store.claims[2][0] == "high"


async def test_after_a_failed_claim_the_queue_is_asked_again() -> None:
    bench = Bench({"a": 0}, free=10)
    await bench.claimer.run_once()
    bench.claimer.notify("a")
    bench.store.away = True
    with pytest.raises(BackendUnavailable):
        await bench.claimer.run_once()
    assert bench.state.holdings.claiming == set(), "if the claim was made after all, a heartbeat finds its lease"
    bench.store.away, bench.store.ready["a"] = False, 5
    await bench.claimer.run_once()
    assert bench.buffers.size == 5


async def test_jobs_claimed_under_a_lost_identity_are_not_run() -> None:
    bench = Bench({"a": 10}, free=10)
    claim = bench.store.claim

    async def lost(queue: str, lease: int, limit: int) -> Claim:
        answer = await claim(queue, lease, limit)
        bench.state.info = state_of(bench.clock).info.__class__(2, "here:1", "here", 1, "0", ("a",), 10)
        return answer

    bench.store.claim = lost  # type: ignore[method-assign]
    await bench.claimer.run_once()
    assert (bench.buffers.size, bench.state.holdings.open) == (0, {})


async def test_buffered_jobs_that_were_cancelled_are_ended_unrun() -> None:
    bench = Bench({"a": 3}, free=10)
    await bench.claimer.run_once()
    bench.claimer.give_up(frozenset({(1, 1), (2, 2)}))
    assert [(o.id, o.verdict, o.started) for o in bench.outbox.outcomes] == [(1, "cancelled", None)]
    assert bench.buffers.size == 2


async def test_of_a_queue_that_a_limit_held_up_lately_others_have_the_first_choice() -> None:
    bench = Bench({"a": 0}, free=10)
    await bench.claimer.run_once()
    bench.store.claims.clear()
    bench.store.ready["a"] = 5
    bench.claimer._queues["a"].adapt(bench.clock.now, held_up=True)
    bench.claimer.notify("a")
    pause = await bench.claimer.run_once()
    assert pause is not None
    assert (bench.store.claims, 0 < pause <= COURTESY_SECONDS) == ([], True)
    bench.clock.now += COURTESY_SECONDS
    await bench.claimer.run_once()
    assert [queue for queue, _ in bench.store.claims] == ["a"]


def test_claims_shrink_while_a_limit_holds_jobs_up_and_grow_again_when_it_long_did_not() -> None:
    known = QueueState()
    for _ in range(10):
        known.adapt(100.0, held_up=True)
    assert known.largest == SMALLEST_CLAIM
    known.adapt(100.1, held_up=False)
    assert known.largest == SMALLEST_CLAIM
    known.adapt(100.0 + RELAXED_SECONDS, held_up=False)
    assert known.largest == 2 * SMALLEST_CLAIM
