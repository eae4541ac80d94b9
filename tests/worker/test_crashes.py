"""Worker processes that die or are held up: nothing is lost, and a late finish changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgqueue.worker.state import Timing
from tests.support import Watch
from tests.worker.harness import STATE, row_of, runs_of
from tests.worker.processes import DEFAULT, SHORT, Crew, closed_gate, stop

STARTED = "select count(*) = %s from public.starts where run = %s"
WORKERS = "select count(*) = %s from pgqueue.worker"


def enqueue(database: psycopg.Connection, count: int, task: str = "hold", args: str = "{}") -> list[int]:
    rows = database.execute(
        "select pgqueue.enqueue(%s, %s::jsonb) from generate_series(1, %s)", (task, args, count)
    ).fetchall()
    return [job for (job,) in rows]


def test_a_dead_workers_jobs_are_due_back_within_thirty_seconds() -> None:
    timing = Timing()
    assert timing.beat + timing.lease + timing.sweep < 30


@pytest.mark.parametrize(
    ("timing", "count"),
    [
        pytest.param({"beat": 0.5, "lease": 2.0, "sweep": 0.5}, 20, id="short"),
        pytest.param(DEFAULT, 100, id="default", marks=pytest.mark.long),
    ],
)
def test_the_jobs_of_a_killed_worker_are_handed_back_in_time_and_run_again_soon(
    dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew, timing: Mapping[str, Any], count: int
) -> None:
    """In time: within a beat, a lease and a sweep, which by default are less than thirty seconds."""
    chosen = replace(Timing(), **timing)
    patience = chosen.beat + chosen.lease + chosen.sweep + 1
    with closed_gate(dsn) as keeper:
        victim = crew.start(timing, concurrency=count)
        jobs = enqueue(database, count)
        watch.until(STARTED, count, 1)
        crew.start(timing, concurrency=count)
        watch.until(WORKERS, 2)
        victim.kill()
        watch.until("select count(*) = %s from pgqueue.job_attempt where outcome = 'rescued'", count, timeout=patience)
        watch.until(STARTED, count, 2, timeout=8)  # few at first: one of them may have killed it
        keeper.execute("select pg_advisory_unlock_all()")
        watch.until("select count(*) = %s from pgqueue.job_history where state = 'succeeded'", count)
    for job in jobs:
        assert runs_of(database, job) == [(1, 0, "rescued"), (2, 1, "succeeded")]
        assert row_of(database, job)["crashes"] == 1
    starts = sorted(crew.recorded("start"))
    assert starts == sorted((job, run) for job in jobs for run in (1, 2)), "each ran exactly once more"
    assert sorted(crew.recorded("end")) == [(job, 2) for job in jobs]


def test_a_worker_that_was_held_up_finishes_too_late_and_goes_on_under_a_new_identity(
    dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew
) -> None:
    with closed_gate(dsn) as keeper:
        late = crew.start(SHORT)
        jobs = enqueue(database, 5)
        watch.until(STARTED, 5, 1)
        [(first_id,)] = database.execute("select id from pgqueue.worker").fetchall()
        other = crew.start(SHORT)
        watch.until(WORKERS, 2)
        late.send_signal(signal.SIGSTOP)
        watch.until(STARTED, 5, 2)
        keeper.execute("select pg_advisory_unlock_all()")
        watch.until("select count(*) = 5 from pgqueue.job_history where state = 'succeeded'")
        before = database.execute("select * from pgqueue.job_history order by id").fetchall()
        late.send_signal(signal.SIGCONT)
        watch.until(WORKERS, 2)
        assert stop(other) == 0
        [(second_id,)] = watch_ids(watch, database)
        after_that = enqueue(database, 1)[0]
        watch.until(STATE, "succeeded", after_that)
    assert second_id != first_id
    assert row_of(database, after_that)["worker_id"] == second_id
    assert len(crew.events("worker.lost", late)) == 1
    assert (
        database.execute("select * from pgqueue.job_history where id <> %s order by id", (after_that,)).fetchall()
        == before
    )
    for job in jobs:
        assert runs_of(database, job) == [(1, 0, "rescued"), (2, 1, "succeeded")]
    assert stop(late) == 0


def watch_ids(watch: Watch, database: psycopg.Connection) -> list[tuple[int]]:
    watch.until(WORKERS, 1)
    return database.execute("select id from pgqueue.worker").fetchall()


def test_a_blocked_event_loop_keeps_its_lease(dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew) -> None:
    with closed_gate(dsn) as keeper:
        keeper.execute("select pg_advisory_unlock_all()")
        crew.start(SHORT, concurrency=1)
        watch.until(WORKERS, 1)
        [job] = enqueue(database, 1, "block", '{"seconds": 3}')
        watch.until(STARTED, 1, 1)
        crew.start(SHORT, concurrency=1)
        watch.until(WORKERS, 2)
        watch.until(STATE, "succeeded", job)
    assert runs_of(database, job) == [(1, 1, "succeeded")]
    assert crew.recorded("start") == [(job, 1)]


def test_term_lets_running_jobs_end_and_exits_with_0(
    dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew
) -> None:
    with closed_gate(dsn) as keeper:
        member = crew.start(concurrency=3)
        jobs = enqueue(database, 5)
        watch.until(STARTED, 3, 1)
        member.send_signal(signal.SIGTERM)
        watch.until("select true from public.stops where pid = %s", member.pid)
        keeper.execute("select pg_advisory_unlock_all()")
        assert member.wait(timeout=20) == 0
    outcomes = {job: runs_of(database, job) for job in jobs}
    started = {job for job, _ in crew.recorded("start")}
    assert all(outcomes[job] == [(row_of(database, job)["run"], 1, "succeeded")] for job in started)
    for job in set(jobs) - started:
        row = row_of(database, job)
        assert (row["state"], row["attempt"], row["crashes"], outcomes[job]) == ("ready", 0, 0, [])
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
    assert "Traceback" not in crew.output()


@pytest.mark.parametrize("task", ["hold", "stuck"])
def test_a_second_signal_gives_the_jobs_back_and_exits_with_3(
    dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew, task: str
) -> None:
    with closed_gate(dsn):
        member = crew.start(concurrency=3)
        jobs = enqueue(database, 3, task)
        watch.until(STARTED, 3, 1)
        member.send_signal(signal.SIGTERM)
        member.send_signal(signal.SIGINT)
        watch.until("select count(*) = 3 from pgqueue.all_jobs where state = 'ready'")
        assert member.wait(timeout=20) == 3
    for job in jobs:
        row = row_of(database, job)
        assert (row["attempt"], row["run"], row["crashes"]) == (0, 2, 0)
        assert runs_of(database, job) == [(1, 0, "release")]


def test_a_program_that_never_gets_a_database_says_so_and_ends(crew: Crew) -> None:
    member = crew.start(dsn="postgresql://nobody@/none?host=/nowhere")
    assert member.wait(timeout=20) not in (0, 3)
    assert "BackendUnavailable: PostgreSQL cannot be reached" in crew.output()


def test_a_stop_ends_in_time_although_the_database_does_not_answer(
    dsn: str, watch: Watch, database: psycopg.Connection, crew: Crew
) -> None:
    with closed_gate(dsn):
        member = crew.start({"soft_stop": 0.5, "hard_stop": 1.0}, concurrency=2)
        enqueue(database, 2)
        watch.until(STARTED, 2, 1)
        frozen = [
            pid
            for (pid,) in database.execute(
                "select pid from pg_stat_activity where datname = current_database() and application_name = any(%s)",
                ([f"pgqueue {purpose}" for purpose in ("claim", "finish", "move", "heartbeat", "listen")],),
            ).fetchall()
        ]
        try:
            send_to_all(frozen, signal.SIGSTOP)
            assert stop(member, timeout=12) == 3
        finally:
            send_to_all(frozen, signal.SIGCONT)


def send_to_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to all that are still there: none may stay stopped, or the whole server waits for it."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
