"""The plan of a pass: what becomes of a schedule's ticks, from stored values and the database's time alone.

Every tick gets one decision, and the watermark ``last_tick`` moves over it. Ticks within the grace are on time, and each
makes a job. What of the late ones does is the rule's ``catch_up``; those that make none are recorded once, with their number.
Nothing here is remembered: whoever computes the plan again after a crash computes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from pgqueue.cron.rule import Rule

Decided: TypeAlias = Literal["enqueued", "missed", "coalesced"]

MOST_COUNTED = 100


class Position(NamedTuple):
    """Where a schedule stands.

    Attributes:
        last_tick: Every tick up to it is decided.
        next_tick: The first one that is not; None: it is not known, or there is none.
        runs: Jobs made so far.
    """

    last_tick: datetime
    next_tick: datetime | None
    runs: int = 0


class Decision(NamedTuple):
    """What becomes of a tick.

    Attributes:
        tick: The tick; of several that are told together, the last one.
        outcome: "enqueued"; "missed": too late; "coalesced": another late one stands for it.
        run_at: When its job may start; None: at once, or there is no job.
        ticks: How many it tells of; None: more than a hundred.
        late: Whether its job makes up for a tick that was late.
    """

    tick: datetime
    outcome: Decided
    run_at: datetime | None = None
    ticks: int | None = 1
    late: bool = False


@dataclass(frozen=True)
class Plan:
    """What a pass does with a schedule.

    Attributes:
        decisions: In order of their ticks.
        last_tick: The new watermark.
        next_tick: The next tick; None with ``finished`` false: it is known when the run has ended.
        finished: Whether there is none any more.
    """

    decisions: tuple[Decision, ...]
    last_tick: datetime
    next_tick: datetime | None
    finished: bool


def plan(key: str, rule: Rule, position: Position, now: datetime) -> Plan:
    """Decide all ticks of a schedule that are due.

    Args:
        key: Its key.
        rule: Its rule.
        position: Where it stands.
        now: The database's time.
    """
    if rule.when.waits_for_runs:
        return _plan_after_run(rule, position, now)
    room = rule.catch_up_limit if rule.max_runs is None else min(rule.catch_up_limit, rule.max_runs - position.runs)
    last, following = position.last_tick, position.next_tick or rule.next_after(position.last_tick)
    decisions, jobs = list[Decision](), 0
    if following is not None and following <= now - rule.grace:
        decisions, jobs = _at_most(room, _late(rule, last, now))
        last = decisions[-1].tick if decisions else last
        following = rule.next_after(last)
    while following is not None and following <= now and jobs < room:
        decisions.append(Decision(following, "enqueued", rule.run_at(key, following) if rule.jitter else None))
        jobs += 1
        last, following = following, rule.next_after(following)
    return _onward(rule, tuple(decisions), last, following, position.runs + jobs)


def _onward(rule: Rule, decisions: tuple[Decision, ...], last: datetime, following: datetime | None, runs: int) -> Plan:
    used_up = rule.max_runs is not None and runs >= rule.max_runs
    return Plan(
        decisions, last, None if used_up else following, used_up or (following is None and not rule.when.waits_for_runs)
    )


def _plan_after_run(rule: Rule, position: Position, now: datetime) -> Plan:
    """One tick at a time, never too late: the next one hangs on its run."""
    tick = position.next_tick
    if tick is None or tick > now:
        return Plan((), position.last_tick, tick, finished=False)
    if rule.ends_at is not None and tick > rule.ends_at:
        return Plan((), position.last_tick, None, finished=True)
    return _onward(rule, (Decision(tick, "enqueued"),), tick, None, position.runs + 1)


def _at_most(room: int, decisions: Iterable[Decision]) -> tuple[list[Decision], int]:
    """Return decisions up to so many jobs, and how many jobs they make."""
    taken, jobs = list[Decision](), 0
    for decision in decisions:
        if decision.outcome == "enqueued":
            if jobs == room:
                break
            jobs += 1
        taken.append(decision)
    return taken, jobs


def _late(rule: Rule, floor: datetime, now: datetime) -> Iterator[Decision]:
    """Yield what becomes of the ticks that are older than the grace."""
    last = rule.last_in(floor, now - rule.grace)
    if last is None:
        return  # the next tick that was stored is none any more: zones change
    oldest = now - rule.catch_up_window
    following = rule.next_after(last)
    if rule.catch_up == "skip" or last < oldest:
        yield from _told("missed", rule, floor, last)
    elif rule.catch_up == "all" and rule.when.is_series:
        yield from _all(rule, floor, last, oldest)
    elif rule.catch_up == "earliest" and rule.when.is_series:
        yield from _earliest(rule, floor, last, oldest)
    elif following is not None and following <= now:
        yield from _told("coalesced", rule, floor, last)
    else:
        yield from _told("coalesced", rule, floor, rule.last_in(floor, last - datetime.resolution))
        yield Decision(last, "enqueued", late=True)


def _earliest(rule: Rule, floor: datetime, last: datetime, oldest: datetime) -> Iterator[Decision]:
    """Yield a job for the first tick within the window."""
    first = rule.next_after(max(floor, oldest - datetime.resolution))
    assert first is not None  # the last one is within it
    yield from _told("missed", rule, floor, rule.last_in(floor, first - datetime.resolution))
    yield Decision(first, "enqueued", late=True)
    yield from _told("coalesced", rule, first, last if last > first else None)


def _all(rule: Rule, floor: datetime, last: datetime, oldest: datetime) -> Iterator[Decision]:
    """Yield a job for each tick within the window, the oldest first."""
    tick = rule.next_after(max(floor, oldest - datetime.resolution))
    assert tick is not None  # the last one is not older
    yield from _told("missed", rule, floor, rule.last_in(floor, tick - datetime.resolution))
    while tick is not None and tick <= last:
        yield Decision(tick, "enqueued", late=True)
        tick = rule.next_after(tick)


def _told(outcome: Decided, rule: Rule, floor: datetime, last: datetime | None) -> Iterator[Decision]:
    """Yield one decision for all ticks in (floor, last], if there are any."""
    if last is not None:
        ticks = 0
        tick = rule.next_after(floor)
        while tick is not None and tick <= last and ticks <= MOST_COUNTED:
            ticks, tick = ticks + 1, rule.next_after(tick)
        yield Decision(last, outcome, ticks=ticks if ticks <= MOST_COUNTED else None)
