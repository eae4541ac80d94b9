"""How a wait looks: at growing pauses, late by a tenth at most, at the jobs that are left; without a second passing."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from pgqueue import InvalidOption, JobFailed, JobNotFound, WaitTimeout
from pgqueue.backend import AskStates, Ended, Question
from pgqueue.inspect.results import LONGEST_PAUSE, SHORTEST_PAUSE
from tests.results.clockwork import WAYS, Clockwork, Way, asked, jobs_of, results_on, succeeded

pytestmark = pytest.mark.parametrize("way", WAYS)


async def test_the_pauses_grow_with_the_wait_up_to_a_second(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 60.0})
    await asked(way, jobs_of(results_on(clock, clock, monkeypatch), "1")[0], "wait")
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(clock.looks)]
    assert pauses[0] == SHORTEST_PAUSE
    assert max(pauses) == pytest.approx(LONGEST_PAUSE)
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(pauses))
    assert len(clock.looks) < 120, "a wait of a minute asks for little"


async def test_the_answer_is_late_by_a_tenth_at_most(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = 20
    ends = [10 ** random.Random(seed + number).uniform(-3, 2) for number in range(200)]
    for end in ends:
        clock = Clockwork({"1": end})
        await asked(way, jobs_of(results_on(clock, clock, monkeypatch), "1")[0], "wait")
        late = clock.now - end
        assert 0 <= late <= min(max(SHORTEST_PAUSE, end / 10), LONGEST_PAUSE) + 1e-9, f"seed {seed}, end {end}"


@pytest.mark.parametrize("limit", [0, 0.001, 0.5, 30, "30s"])
async def test_a_wait_ends_at_its_limit_with_a_last_look(way: Way, limit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    length = 30.0 if limit == "30s" else float(limit)
    clock = Clockwork({"1": 1e9}, before="running")
    (job,) = jobs_of(results_on(clock, clock, monkeypatch), "1")
    with pytest.raises(WaitTimeout) as late:
        await asked(way, job, "result", limit)
    assert clock.now == pytest.approx(length)
    assert clock.looks[-1][0] == pytest.approx(length)
    assert late.value.problem == f"Job 1 of note has not ended in {length:g} s, it is running."
    assert "queue 'default'" in late.value.remedy
    assert isinstance(late.value, TimeoutError)


async def test_a_job_that_ends_at_the_limit_has_ended(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 2.0})
    assert await asked(way, jobs_of(results_on(clock, clock, monkeypatch), "1")[0], "result", 2) == "1"


@pytest.mark.parametrize("limit", [-1, "soon", float("nan"), True], ids=repr)
async def test_a_limit_that_is_no_length_of_time_is_refused(
    way: Way, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clockwork({"1": 0.0})
    with pytest.raises(InvalidOption, match="timeout="):
        await asked(way, jobs_of(results_on(clock, clock, monkeypatch), "1")[0], "wait", limit)


async def test_only_the_jobs_that_are_left_are_asked_for(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 0.0, "2": 5.0, "3": 1.0})
    answers = results_on(clock, clock, monkeypatch)
    assert await asked(way, answers, "gather", jobs_of(answers, "2", "1", "3"), None) == ["2", "1", "3"]
    assert [ids for _, ids in clock.looks][:2] == [["2", "1", "3"], ["2", "3"]]
    assert clock.looks[-1][1] == ["2"]


async def test_a_limit_names_one_and_counts_the_others(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 0.0, "2": 9.0, "3": 9.0})
    answers = results_on(clock, clock, monkeypatch)
    with pytest.raises(WaitTimeout, match=r"Job 2 of note has not ended in 1 s, it is ready, nor have 1 others\."):
        await asked(way, answers, "gather", jobs_of(answers, "1", "2", "3"), "1s")


async def test_the_same_job_twice_has_its_result_twice(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 1.0})
    answers = results_on(clock, clock, monkeypatch)
    assert await asked(way, answers, "gather", jobs_of(answers, "1", "1"), None) == ["1", "1"]


async def test_no_jobs_need_no_question(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({})
    answers = results_on(clock, clock, monkeypatch)
    assert await asked(way, answers, "gather", [], None) == []
    assert await asked(way, answers, "wait", [], None) == []
    assert clock.looks == []


class Late(Clockwork):
    """A backend that answers "not found" once: the job was committed between the two looks of one answer."""

    def ask(self, question: Question) -> Any:
        answer = super().ask(question)
        first = isinstance(question, AskStates) and len(self.looks) == 1
        return dict.fromkeys(answer, "not found") if first else answer


async def test_a_job_that_was_not_found_is_looked_for_once_more(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Late({"1": 3.0, "2": 0.0})
    answers = results_on(clock, clock, monkeypatch)
    assert await asked(way, answers, "gather", jobs_of(answers, "1", "2"), None) == ["1", "2"]


class Gone(Clockwork):
    """A backend that does not know job 2."""

    def ask(self, question: Question) -> Any:
        answer = super().ask(question)
        return {one: "not found" if one == "2" else said for one, said in answer.items()}


async def test_a_job_that_does_not_exist_is_said_at_once(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Gone({"1": 99.0, "2": 99.0})
    answers = results_on(clock, clock, monkeypatch)
    with pytest.raises(JobNotFound, match=r"There is no job 2\."):
        await asked(way, answers, "gather", jobs_of(answers, "1", "2"), None)
    assert clock.now == 0


async def test_the_first_failure_in_the_order_given_is_raised(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork({"1": 0.0, "2": 2.0, "3": 1.0})
    clock.ended = {
        "1": succeeded(None),
        "2": Ended("dead", "note", None, "ValueError", "two\nlines", "Traceback ..."),
        "3": Ended("cancelled", "note", None, None, None, None),
    }
    answers = results_on(clock, clock, monkeypatch)
    with pytest.raises(JobFailed) as failure:
        await asked(way, answers, "gather", jobs_of(answers, "1", "2", "3"), None)
    assert failure.value.problem == "Job 2 of note is dead and has no result (ValueError: two)."
    assert (failure.value.state, failure.value.error_type) == ("dead", "ValueError")
    assert failure.value.traceback == "Traceback ..."


class Revived(Clockwork):
    """A backend whose job an operator brings back between the look at its state and the one at its end."""

    def ask(self, question: Question) -> Any:
        if isinstance(question, AskStates) or self.now > 0:
            return super().ask(question)
        self._ends = {"1": 5.0}
        return {}


async def test_a_job_that_an_operator_brings_back_between_two_looks_is_waited_for(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Revived({"1": 0.0})
    (job,) = jobs_of(results_on(clock, clock, monkeypatch), "1")
    assert await asked(way, job, "result", 30) == "1"
