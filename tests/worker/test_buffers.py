"""The lines of claimed jobs."""

from __future__ import annotations

import random
from collections import Counter

from pgqueue.worker.buffers import Buffers
from tests.worker.fakes import job_of

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
