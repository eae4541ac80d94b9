"""The lines of claimed jobs."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from pgqueue import PgQueue
from pgqueue.model.job import ClaimedJob
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.limits import Limits
from tests.queues.orders import shares
from tests.worker.fakes import Hands, job_of

SEED = 20261124


def taken(buffers: Buffers, count: int) -> str:
    jobs = [buffers.take() for _ in range(count)]
    return "".join("-" if job is None else job.queue for job in jobs)


def filled(weights: dict[str, int], each: int = 100) -> Buffers:
    buffers = Buffers(weights)
    for queue in weights:
        buffers.add(queue, [job_of(number, queue) for number in range(each)])
    return buffers


def test_turns_follow_the_weights_smoothly() -> None:
    assert taken(filled({"a": 5, "b": 1, "c": 1}), 14) == "aabacaa" * 2


def test_every_round_serves_each_queue_by_its_weight() -> None:
    buffers = filled({"a": 7, "b": 4, "c": 2, "d": 1})
    for _ in range(7):
        assert Counter(taken(buffers, 14)) == {"a": 7, "b": 4, "c": 2, "d": 1}


def test_an_empty_queue_saves_up_no_turns() -> None:
    buffers = Buffers({"a": 1, "b": 1})
    buffers.add("a", [job_of(n, "a") for n in range(200)])
    assert taken(buffers, 100) == "a" * 100
    buffers.add("b", [job_of(n, "b") for n in range(100)])
    assert sorted(taken(buffers, 10)) == list("aaaaabbbbb")


def test_queues_that_come_and_go_are_never_starved() -> None:
    seed = random.Random(SEED)
    weights = {"a": 9, "b": 3, "c": 1}
    buffers, waited = Buffers(weights), dict.fromkeys(weights, 0)
    for _ in range(5000):
        queue = seed.choice("abc")
        if seed.random() < 0.9:
            buffers.add(queue, [job_of(0, queue)])
        job = buffers.take()
        for name in weights:
            waited[name] = waited[name] + 1 if job and job.queue != name and buffers.waiting(name) else 0
            assert waited[name] <= 2 * sum(weights.values()), f"{name} waits, seed {SEED}"


def test_a_single_queue_keeps_its_order() -> None:
    buffers = Buffers({"a": 3})
    buffers.add("a", [job_of(1, "a"), job_of(2, "a")])
    buffers.add("a", [job_of(3, "a")])
    assert [job.id for job in iter(buffers.take, None)] == [1, 2, 3]
    assert (buffers.size, buffers.taken) == (0, 3)
    assert buffers.take() is None
    assert buffers.taken == 3


def test_jobs_are_taken_out_by_id_and_run() -> None:
    buffers = Buffers({"a": 1, "b": 1})
    buffers.add("a", [job_of(1, "a"), job_of(2, "a", run=2)])
    buffers.add("b", [job_of(3, "b"), job_of(4, "b")])
    out = buffers.take_out({(1, 1), (2, 1), (4, 1), (9, 1)})
    assert [job.id for job in out] == [1, 4]
    assert (buffers.size, buffers.waiting("a"), buffers.waiting("b"), buffers.taken) == (2, 1, 1, 0)
    assert sorted(job.id for job in buffers.drain()) == [2, 3]
    assert (buffers.size, buffers.waiting("a"), buffers.take()) == (0, 0, None)


def test_any_thousand_in_a_row_have_the_shares_of_the_weights() -> None:
    weights = {"a": 6, "b": 3, "c": 1}
    started = taken(filled(weights, each=3000), 5000)
    for queue, (least, most) in shares(started, weights).items():
        assert 0.99 <= least <= most <= 1.01, queue


def test_strict_the_first_queue_that_has_a_job_is_served() -> None:
    buffers = Buffers({"a": 1, "b": 1}, strict=True)
    buffers.add("b", [job_of(1, "b"), job_of(2, "b")])
    assert taken(buffers, 1) == "b"
    buffers.add("a", [job_of(3, "a"), job_of(4, "a")])
    assert taken(buffers, 4) == "aab-"


def limited(queues: dict[str, int], *tasks: tuple[str, int | None], weights: dict[str, int] | None = None) -> Buffers:
    """Return buffers with limits of queues and of tasks, on a clock of the test's own."""
    pgq = PgQueue("postgresql://nowhere")
    for name, most in tasks:
        pgq.task(name=name, limit=most)(lambda: None)
    return Buffers(weights or {"a": 1}, Hands(100.0), limits=Limits(queues, pgq.tasks, 4))


def note(number: int, task: str = "note", queue: str = "a") -> ClaimedJob:
    return job_of(number, queue)._replace(task=task)


def ids(buffers: Buffers) -> list[int]:
    return [job.id for job in iter(buffers.take, None)]


def test_a_task_at_its_limit_lets_others_pass_and_goes_first_when_it_has_room() -> None:
    buffers = limited({}, ("slow", 2), ("note", None))
    first = [note(n, "slow") for n in range(4)]
    buffers.add("a", [*first, note(8), note(9)])
    assert ids(buffers) == [0, 1, 8, 9]
    assert (buffers.waiting("a"), buffers.size, buffers.promised) == (2, 0, 2)
    buffers.add("a", [note(10)])
    buffers.ended(first[0])
    assert ids(buffers) == [2, 10]
    buffers.ended(note(8))
    assert ids(buffers) == []


def test_a_queue_at_its_limit_keeps_its_line_and_others_go_on() -> None:
    buffers = limited({"a": 1}, weights={"a": 9, "b": 1})
    jobs = [note(n, queue="a") for n in range(3)]
    buffers.add("a", jobs)
    buffers.add("b", [note(n, queue="b") for n in (7, 8, 9)])
    assert ids(buffers) == [0, 7, 8, 9]
    buffers.ended(jobs[0])
    assert ids(buffers) == [1]


def test_what_is_taken_ahead_of_a_limit_follows_how_long_such_jobs_take() -> None:
    buffers = limited({"a": 2})
    clock: Any = buffers._clock
    assert buffers.room("a", 100) == 2, "nothing is known yet"
    jobs = [note(n) for n in range(10)]
    buffers.add("a", jobs)
    assert ids(buffers) == [0, 1]
    clock.now += 0.01
    buffers.ended(jobs[0])
    buffers.ended(jobs[1])
    assert ids(buffers) == [2, 3]
    assert buffers.overdue() == [], "those take 10 ms, so that six more will start within a second"
    clock.now += 0.99
    assert [job.id for job in buffers.overdue()] == [9, 8, 7, 6], "two have run for a second, and two may end soon"
    clock.now += 0.2
    assert [job.id for job in buffers.overdue()] == [5, 4]
    assert buffers.room("a", 100) == 0, "what stands is not taken ahead"
    buffers.ended(jobs[2])
    assert buffers.room("a", 100) >= 1


def test_two_that_may_start_at_once_wake_another_slot() -> None:
    buffers = limited({"a": 1}, ("x", 1), ("y", 1), weights={"a": 1, "b": 1})
    roused: list[int] = []
    buffers.rouse = roused.append
    both = note(1, "x", "a")
    buffers.add("a", [both])
    buffers.add("b", [note(2, "y", "b"), note(3, "x", "b"), note(4, "y", "b")])
    assert ids(buffers) == [1, 2]
    assert buffers.promised == 2
    buffers.ended(note(2, "y", "b"))
    assert ids(buffers) == [4]
    buffers.add("a", [note(5, "y", "a")])
    buffers.ended(both)
    assert ids(buffers) == [3]
    assert buffers.promised == 1
    buffers.ended(note(3, "x", "b"))
    assert ids(buffers) == []
    buffers.ended(note(4, "y", "b"))
    assert ids(buffers) == [5]
    assert max(roused) <= 0


def test_a_job_past_the_lines_is_counted_where_it_is_taken() -> None:
    buffers = limited({"a": 1})
    suspect = note(1)
    buffers.urgent.append(suspect)
    buffers.add("a", [note(2)])
    assert ids(buffers) == [1]
    buffers.ended(suspect)
    assert ids(buffers) == [2]
    buffers.urgent.append(note(3))
    assert ids(buffers) == [], "it waits until there is room"
    buffers.ended(note(2))
    assert ids(buffers) == [3]


def test_drained_is_also_what_is_parked_of_one_queue_or_of_all() -> None:
    buffers = limited({}, ("slow", 1), weights={"a": 1, "b": 1})
    buffers.add("a", [note(n, "slow", "a") for n in (1, 2, 3)])
    buffers.add("b", [note(n, "slow", "b") for n in (4, 5)])
    assert ids(buffers) == [1]
    assert [job.id for job in buffers.drain("a")] == [2, 3]
    assert [job.id for job in buffers.take_out({(4, 1)})] == [4]
    assert [job.id for job in buffers.drain()] == [5]
    assert buffers.promised == 0
