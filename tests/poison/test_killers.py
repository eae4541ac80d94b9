"""A job that kills its worker is dead after three starts, and nobody else is ended or pays an attempt for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psycopg
import pytest

from pgqueue import PgQueue
from tests.poison.forks import BURIED, SHORT, Forks, Member
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, errors_of, row_of, runs_of

MODULE = "tests.poison.application"
BUFFERED = 500  # most jobs of one claim: the killer and these but one


def enqueue(pgq: PgQueue[None], task: str, *, jobs: int = 1, priority: int = 0, **arguments: float) -> list[str]:
    """Enqueue jobs of a task; return their ids."""
    named = pgq.named(task).using(priority=priority)
    return [job.id for job in pgq.enqueue_many(named.job(**arguments) for _ in range(jobs))]


def ended_as_poison(database: psycopg.Connection, job: str) -> bool:
    """Whether a job is dead as poison after three crashes, without having used an attempt."""
    row = row_of(database, job)
    return (row["state"], row["crashes"], row["attempt"], errors_of(database, job)[-1][0]) == ("dead", 3, 0, "Poison")


def paid(database: psycopg.Connection, jobs: list[str]) -> list[tuple[str, int, str]]:
    """Return (job, attempt, state) of jobs that did not succeed at their first attempt, or have failed runs."""
    rows = database.execute(
        "select id, attempt, state from pgqueue.job_history where id = any(%(ids)s::bigint[])"
        " and (attempt, state) <> (1, 'succeeded') union all "
        "select job_id, attempt, outcome from pgqueue.job_attempt where job_id = any(%(ids)s::bigint[]) and attempt > 0",
        {"ids": jobs},
    )
    return rows.fetchall()


def repeated(member: Member, jobs: list[str]) -> dict[int, int]:
    """Return how often each job that did not run exactly once was called."""
    starts = Counter(line["job"] for line in member.recorded("start"))
    return {int(job): starts[int(job)] for job in jobs if starts[int(job)] != 1}


def test_a_killer_beside_500_buffered_innocents_is_dead_after_three_starts_and_nobody_else_pays(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    [killer] = enqueue(pgq, "kill", priority=9)
    innocents = enqueue(pgq, "work", jobs=BUFFERED - 1, priority=8) + enqueue(pgq, "work")
    member = forks.start(MODULE, dsn, tmp_path, timing=SHORT, again=True, bury=False, concurrency=BUFFERED + 50)
    watch.until(ENDED, BUFFERED, "succeeded", timeout=60)
    watch.until(STATE, "dead", killer)
    assert member.died(3) == [-9, -9, -9]
    assert ended_as_poison(database, killer)
    assert len(member.starts(killer)) == 3
    member.end()
    assert runs_of(database, killer) == [(1, 0, "rescued"), (2, 0, "rescued"), (3, 0, "dead")]
    assert paid(database, innocents) == []
    assert repeated(member, innocents) == {}
    assert [(event["_job"], event["_task"]) for event in member.events("job.poison")] == [(int(killer), "kill")]
    assert pgq.inspector.retry(killer) == "retried"
    back = row_of(database, killer)
    assert (back["state"], back["crashes"], back["attempt"]) == ("ready", 0, 0), "an operator knows better"


def test_two_killers_are_dead_after_three_starts_each_and_their_innocents_run_once(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    killers = enqueue(pgq, "kill", priority=9, jobs=2)
    innocents = enqueue(pgq, "work", jobs=40)
    member = forks.start(MODULE, dsn, tmp_path, again=True, concurrency=100)
    watch.until(ENDED, 40, "succeeded")
    watch.until(ENDED, 2, "dead")
    assert all(ended_as_poison(database, killer) for killer in killers)
    assert sorted(len(member.starts(killer)) for killer in killers) in ([2, 3], [3, 3]), (
        "both were held at the first death"
    )
    assert paid(database, innocents) == []
    assert repeated(member, innocents) == {}


def test_a_killer_that_takes_its_time_is_found_although_others_run_beside_it(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    [killer] = enqueue(pgq, "kill", seconds=0.8, priority=9)
    innocents = enqueue(pgq, "work", jobs=20, seconds=0.2)
    member = forks.start(MODULE, dsn, tmp_path, again=True, concurrency=10)
    watch.until(STATE, "dead", killer)
    watch.until(ENDED, 20, "succeeded")
    assert ended_as_poison(database, killer)
    assert len(member.starts(killer)) == 3
    assert paid(database, innocents) == []


def test_long_innocents_outlive_a_killer(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    [killer] = enqueue(pgq, "kill", seconds=0.2, priority=9)
    innocents = enqueue(pgq, "work", jobs=6, seconds=1.2)
    member = forks.start(MODULE, dsn, tmp_path, again=True, concurrency=10)
    watch.until(STATE, "dead", killer)
    watch.until(ENDED, 6, "succeeded", timeout=60)
    assert ended_as_poison(database, killer)
    assert len(member.starts(killer)) == 3
    assert paid(database, innocents) == []


def test_an_innocent_suspect_is_never_ended_for_fresh_killers_beside_it(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    [innocent] = enqueue(pgq, "work", seconds=0.6)
    member = forks.start(MODULE, dsn, tmp_path, again=True, concurrency=10)
    for deaths in range(1, 4):  # each time a killer that nobody has met comes while the innocent runs
        enqueue(pgq, "kill", priority=9)
        member.died(deaths)
    watch.until(ENDED, 3, "dead", timeout=60)
    watch.until(STATE, "succeeded", innocent)
    assert paid(database, [innocent]) == []


def test_a_process_that_is_killed_from_outside_costs_its_jobs_no_attempt_and_they_succeed(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    jobs = enqueue(pgq, "work", jobs=5, seconds=0.5)
    member = forks.start(MODULE, dsn, tmp_path, again=True, concurrency=10)
    watch.until("select count(*) = 5 from pgqueue.lease l, unnest(l.job_ids)")
    member.send(9)
    watch.until(ENDED, 5, "succeeded")
    assert paid(database, jobs) == []
    crashes = database.execute("select distinct crashes from pgqueue.job_history").fetchall()
    assert crashes == [(1,)]


@pytest.mark.long
def test_killers_at_any_place_among_thousands_end_alone(
    forks: Forks, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str, tmp_path: Path
) -> None:
    killers, innocents = [], []
    for _ in range(5):
        innocents += enqueue(pgq, "work", jobs=400)
        killers += enqueue(pgq, "kill")
    forks.start(MODULE, dsn, tmp_path, timing=BURIED, again=True, concurrency=50)
    watch.until(ENDED, 5, "dead", timeout=120)
    watch.until(ENDED, 2000, "succeeded", timeout=120)
    assert all(ended_as_poison(database, killer) for killer in killers)
    assert paid(database, innocents) == []
