"""What a pass decides: every tick once, on time or by the rule for late ones."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue.cron import AfterCompletion, Cron, Every, EveryBetween, Once, When
from pgqueue.cron.plan import Decision, Plan, Position, plan
from pgqueue.cron.rule import CatchUp, Rule
from pgqueue.model.errors import InvalidSchedule

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EACH_MINUTE = Cron("* * * * *")


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def decided(
    rule: Rule, last: float, now: float, runs: int = 0
) -> tuple[list[tuple[float, str, int | None, bool]], Plan]:
    """Return the decisions with ticks in minutes from noon, and the plan."""
    made = plan("k", rule, Position(at(last), rule.next_after(at(last)), runs), at(now))
    told = [((each.tick - NOON) / MINUTE, str(each.outcome), each.ticks, each.late) for each in made.decisions]
    return told, made


def test_a_tick_that_is_due_makes_a_job_and_the_next_one_is_known() -> None:
    told, made = decided(Rule(EACH_MINUTE), 0, 1)
    assert told == [(1, "enqueued", 1, False)]
    assert (made.last_tick, made.next_tick, made.finished) == (at(1), at(2), False)


def test_nothing_due_is_nothing_decided() -> None:
    told, made = decided(Rule(EACH_MINUTE), 0, 0.99)
    assert (told, made.last_tick, made.next_tick) == ([], at(0), at(1))


def test_every_tick_within_the_grace_is_on_time() -> None:
    told, _ = decided(Rule(Every("10s")), 0, 0.9)
    assert [minute for minute, *_ in told] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert {(outcome, late) for _, outcome, _, late in told} == {("enqueued", False)}


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", [(9, "missed", 9, False), (10, "enqueued", 1, False)]),
        ("latest", [(9, "coalesced", 9, False), (10, "enqueued", 1, False)]),
        ("earliest", [(1, "enqueued", 1, True), (9, "coalesced", 8, False), (10, "enqueued", 1, False)]),
        ("all", [*((minute, "enqueued", 1, True) for minute in range(1, 10)), (10, "enqueued", 1, False)]),
    ],
)
def test_late_ticks_beside_one_on_time(catch_up: CatchUp, expected: list[tuple[float, str, int, bool]]) -> None:
    told, made = decided(Rule(EACH_MINUTE, catch_up=catch_up), 0, 10.5)
    assert told == expected
    assert (made.last_tick, made.next_tick) == (at(10), at(11))


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", [(180, "missed", 3, False)]),
        ("latest", [(120, "coalesced", 2, False), (180, "enqueued", 1, True)]),
        ("earliest", [(60, "enqueued", 1, True), (180, "coalesced", 2, False)]),
        ("all", [(60, "enqueued", 1, True), (120, "enqueued", 1, True), (180, "enqueued", 1, True)]),
    ],
)
def test_late_ticks_alone(catch_up: CatchUp, expected: list[tuple[float, str, int, bool]]) -> None:
    told, made = decided(Rule(Cron("0 * * * *"), catch_up=catch_up), 0, 200)
    assert told == expected
    assert (made.last_tick, made.next_tick) == (at(180), at(240))


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", [(300, "coalesced", 5, False), (360, "enqueued", 1, True)]),
        ("earliest", [(240, "missed", 4, False), (300, "enqueued", 1, True), (360, "coalesced", 1, False)]),
        ("all", [(240, "missed", 4, False), (300, "enqueued", 1, True), (360, "enqueued", 1, True)]),
    ],
)
def test_ticks_older_than_the_window_make_no_job(
    catch_up: CatchUp, expected: list[tuple[float, str, int, bool]]
) -> None:
    rule = Rule(Cron("0 * * * *"), catch_up=catch_up, catch_up_window=2 * 60 * MINUTE)
    assert decided(rule, 0, 400)[0] == expected


@pytest.mark.parametrize("catch_up", ["latest", "earliest", "all"])
def test_when_all_late_ticks_are_too_old_they_are_missed(catch_up: CatchUp) -> None:
    rule = Rule(Cron("0 * * * *"), catch_up=catch_up, catch_up_window=10 * MINUTE)
    assert decided(rule, 0, 200)[0] == [(180, "missed", 3, False)]


def test_the_edge_of_the_window_and_of_the_grace_belong_to_them() -> None:
    hourly = Rule(Cron("0 * * * *"), catch_up="all", catch_up_window=60 * MINUTE)
    assert decided(hourly, 0, 120)[0] == [(60, "enqueued", 1, True), (120, "enqueued", 1, False)]
    assert decided(Rule(EACH_MINUTE, catch_up="skip"), 0, 2)[0] == [(1, "missed", 1, False), (2, "enqueued", 1, False)]
    assert decided(Rule(EACH_MINUTE, catch_up="skip"), 0, 1.99)[0] == [(1, "enqueued", 1, False)]


def test_a_pass_catches_up_on_so_many_and_the_next_one_goes_on() -> None:
    rule = Rule(EACH_MINUTE, catch_up="all", catch_up_limit=4)
    told, made = decided(rule, 0, 10)
    assert [minute for minute, *_ in told] == [1, 2, 3, 4]
    assert (made.last_tick, made.next_tick) == (at(4), at(5))
    assert [minute for minute, *_ in decided(rule, 4, 10)[0]] == [5, 6, 7, 8]
    assert [minute for minute, *_ in decided(rule, 8, 10)[0]] == [9, 10]


def test_a_year_of_missed_minutes_is_told_without_their_number() -> None:
    told, _ = decided(Rule(EACH_MINUTE, catch_up="skip"), -525_600, 0.5)
    assert told == [(-1, "missed", None, False), (0, "enqueued", 1, False)]


def test_start_and_end_belong_to_the_series() -> None:
    rule = Rule(EACH_MINUTE, starts_at=at(3), ends_at=at(5))
    assert rule.upcoming(at(0), 10) == [at(3), at(4), at(5)]
    assert rule.next_after(at(5)) is None
    told, made = decided(rule, 0, 5)
    assert told == [(4, "coalesced", 2, False), (5, "enqueued", 1, False)]
    assert (made.last_tick, made.next_tick, made.finished) == (at(5), None, True)


def test_a_number_of_runs_is_the_end() -> None:
    rule = Rule(Every("10s"), max_runs=3)
    told, made = decided(rule, 0, 0.9)
    assert [outcome for _, outcome, *_ in told] == ["enqueued"] * 3
    assert (made.next_tick, made.finished) == (None, True)
    assert decided(rule, 0, 0.3, runs=2)[1].finished


def test_the_last_instant_is_the_end() -> None:
    told, made = decided(Rule(Once(at(1), at(2))), 0, 2)
    assert told == [(1, "coalesced", 1, False), (2, "enqueued", 1, False)]
    assert made.finished


def test_a_job_starts_within_the_jitter_and_before_the_next_tick() -> None:
    rule = Rule(Every("10s"), jitter=timedelta(seconds=30))
    starts = [rule.run_at("k", at(minute)) - at(minute) for minute in range(500)]
    assert timedelta() <= min(starts) < max(starts) < timedelta(seconds=10)
    assert starts == [rule.run_at("k", at(minute)) - at(minute) for minute in range(500)]
    assert rule.run_at("k", at(0)) != rule.run_at("other", at(0))
    (decision,) = plan("k", rule, Position(at(0), None), at(0) + timedelta(seconds=10)).decisions
    assert decision.run_at == rule.run_at("k", decision.tick)


def test_after_a_run_one_tick_at_a_time() -> None:
    rule = Rule(AfterCompletion("10m"))
    made = plan("k", rule, Position(at(0), at(10)), at(500))
    assert made == Plan((Decision(at(10), "enqueued"),), at(10), None, finished=False)
    assert plan("k", rule, Position(at(10), None), at(500)).decisions == ()
    assert plan("k", Rule(AfterCompletion("10m"), ends_at=at(9)), Position(at(0), at(10)), at(500)).finished


def test_random_intervals_are_caught_up_on_once() -> None:
    told, made = decided(Rule(EveryBetween("1m", "2m"), catch_up="all"), 0, 60)
    assert [outcome for _, outcome, *_ in told][:2] == ["coalesced", "enqueued"]
    assert made.last_tick <= at(60)
    assert made.next_tick is not None
    assert made.next_tick > at(60)


KINDS: list[When] = [EACH_MINUTE, Every("7s"), Cron("*/5 * * * *"), EveryBetween(20, 90), Cron("30 12 * * *")]


@pytest.mark.parametrize("catch_up", ["skip", "latest", "earliest", "all"])
@pytest.mark.parametrize("when", KINDS, ids=lambda when: when.text)
def test_whenever_passes_happen_every_tick_is_decided_once_and_in_order(when: When, catch_up: CatchUp) -> None:
    chance = random.Random(f"{when.text} {catch_up}")
    rule = Rule(when, catch_up=catch_up, catch_up_window=5 * MINUTE, catch_up_limit=chance.randint(1, 50))
    position, now, ticks, told = Position(at(0), rule.next_after(at(0))), at(0), list[datetime](), list[Decision]()
    for _ in range(60):
        now += timedelta(seconds=chance.choice([1, 1, 5, 30, 200, 900]))
        made = plan("k", rule, position, now)
        assert made == plan("k", rule, position, now), "whoever computes it again finds the same"
        told += made.decisions
        position = Position(made.last_tick, made.next_tick)
        assert made.next_tick is None or made.next_tick > made.last_tick
    ticks = [decision.tick for decision in told]
    assert ticks == sorted(set(ticks))
    if when.is_series:
        upto = position.last_tick
        due = [tick for tick in rule.upcoming(at(0), 5000) if tick <= upto]
        assert {decision.tick for decision in told if decision.outcome == "enqueued"} <= set(due)
        assert None in [each.ticks for each in told] or sum(each.ticks or 0 for each in told) == len(due)


@pytest.mark.parametrize(
    "wrong",
    [{"max_runs": 0}, {"max_runs": True}, {"max_runs": 1.5}, {"catch_up_limit": 0}, {"catch_up_limit": 1001},
     {"catch_up": "some"}, {"starts_at": datetime(2026, 1, 1)}, {"ends_at": "soon"},
     {"starts_at": at(5), "ends_at": at(4)}],
    ids=str,
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidSchedule):
        Rule(EACH_MINUTE, **wrong)  # type: ignore[arg-type]
