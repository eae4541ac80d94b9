"""Random histories on a real database, checked by identity: which job was handed out, how often, and what is recorded.

``make long`` runs two longer ones, of PGQUEUE_LONG seconds each, with a seed of the moment.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import psycopg
import pytest

from pgqueue.postgres.connections import Settings
from tests.storage.hands import rows, transaction, without_scans
from tests.storage.history import Crowd, Ledger, Plan
from tests.storage.history_worker import PATIENCE, HistoryWorker

SECONDS = 2.0
LEFT = """
select (select count(*) from pgqueue.job), (select count(*) from pgqueue.ready), (select count(*) from pgqueue.scheduled)
"""
WHERE = """
select to_jsonb(j), (select jsonb_agg(to_jsonb(l)) from pgqueue.lease l where l.job_ids @> array[j.id]),
  (select jsonb_agg(w.id) from pgqueue.worker w), clock_timestamp() - j.run_at
from pgqueue.job j
"""
LONG = float(os.environ.get("PGQUEUE_LONG", "60"))
LIMITS = {"one": (1,), "few": (1, 4, 7), "many": (50,), "all sorts": (1, 3, 10, 50)}


@contextmanager
def held_snapshot(dsn: str, *, held: bool) -> Iterator[None]:
    """Keep dead entries from being cleaned, if asked to."""
    with transaction(dsn, "repeatable read") as auditor:
        if held:
            auditor.execute("select count(*) from pgqueue.all_jobs")
        yield


async def play(settings: Settings, plan: Plan) -> Ledger:
    """Let the crowd and two workers act, then work off what is left."""
    crowd = Crowd(settings, plan)
    workers: list[HistoryWorker] = []
    workers += [HistoryWorker(crowd, number, workers) for number in range(2)]
    with held_snapshot(settings.dsn, held=plan.held):
        crowd.start()
        try:
            async with anyio.create_task_group() as group:
                for worker in workers:
                    group.start_soon(worker.run)
                await anyio.to_thread.run_sync(crowd.over.wait, plan.seconds)
                await anyio.to_thread.run_sync(crowd.end)
                await _until_nothing_is_left(crowd)
                crowd.quiet.set()
        finally:
            await anyio.to_thread.run_sync(crowd.close)
    return crowd.ledger


async def _until_nothing_is_left(crowd: Crowd) -> None:
    deadline = time.monotonic() + PATIENCE
    async with await psycopg.AsyncConnection.connect(crowd.settings.dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            cursor = await connection.execute(LEFT)
            if (await cursor.fetchone()) == (0, 0, 0):
                return
            await anyio.to_thread.run_sync(crowd.quiet.wait, 0.02)


def judge(ledger: Ledger, database: psycopg.Connection) -> None:
    """Check what holds after every history."""
    assert ledger.problems == []
    assert rows(database, LEFT) == [(0, 0, 0)], f"not all jobs and entries were found: {rows(database, WHERE)}"
    twice = [run for run, count in Counter(ledger.handed).items() if count > 1]
    assert twice == [], "handed out twice"
    assert not {job_id for job_id, _ in ledger.handed} & ledger.undone, "handed out although rolled back"
    ends = {
        job_id: (state, run) for job_id, state, run in rows(database, "select id, state, run from pgqueue.all_jobs")
    }
    assert ends.keys() == ledger.committed
    assert {state for state, _ in ends.values()} <= {"succeeded", "dead", "cancelled"}
    _judge_attempts(ledger, database)
    for job_id, (state, run) in ends.items():
        if state == "succeeded":
            assert (job_id, run) in ledger.handed


def _judge_attempts(ledger: Ledger, database: psycopg.Connection) -> None:
    attempts = rows(database, "select job_id, run, outcome from pgqueue.all_attempts")
    counted = Counter((job_id, run) for job_id, run, _ in attempts)
    assert [run for run, count in counted.items() if count > 1] == [], "recorded twice"
    assert set(ledger.recorded) <= set(attempts), "an attempt is not recorded"
    assert len(ledger.recorded) == len(set(ledger.recorded)), "recorded for two"
    assert set(ledger.lost) <= counted.keys(), "a run that was started and lost is not recorded"


def judge_runs(ledger: Ledger, database: psycopg.Connection) -> None:
    """Check that every run was handed out, but for those that an operator cancelled in their lane and brought back."""
    handed, retried = Counter(job_id for job_id, _ in ledger.handed), Counter(ledger.retried)
    for job_id, run, state in rows(database, "select id, run, state from pgqueue.all_jobs"):
        unseen = run - handed[job_id]
        assert 0 <= unseen <= retried[job_id] + (state == "cancelled"), f"job {job_id}: {unseen} runs never handed out"


def plan_of(seed: int, limits: str, *, storm: bool, seconds: float = SECONDS) -> Plan:
    return Plan(seed, seconds, storm, LIMITS[limits], held=seed % 2 == 1)


@pytest.mark.parametrize(("seed", "limits"), [(1, "few"), (2, "one"), (3, "many")])
async def test_nothing_is_left_to_the_safety_scan(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, seed: int, limits: str
) -> None:
    """Late commits, savepoints, prepared transactions, timeouts, releases, retries, promotions, two claimers."""
    without_scans(monkeypatch)
    ledger = await play(settings, plan_of(seed, limits, storm=False))
    judge(ledger, database)
    judge_runs(ledger, database)
    assert len(ledger.committed) > 50
    assert ledger.undone


@pytest.mark.parametrize(("seed", "limits"), [(11, "all sorts"), (12, "few"), (13, "many")])
async def test_a_storm_loses_nothing_and_does_nothing_twice(
    settings: Settings, database: psycopg.Connection, seed: int, limits: str
) -> None:
    """As above, and workers lose connections in the middle, sleep past their lease, and are rescued."""
    ledger = await play(settings, plan_of(seed, limits, storm=True))
    judge(ledger, database)
    assert len(ledger.committed) > 50


@pytest.mark.long
@pytest.mark.timeout(LONG + 120)
@pytest.mark.parametrize("storm", [False, True])
async def test_a_long_history(
    settings: Settings, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, storm: bool
) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    if not storm:
        without_scans(monkeypatch)
    ledger = await play(settings, plan_of(seed, "all sorts", storm=storm, seconds=LONG))
    judge(ledger, database)
    if not storm:
        judge_runs(ledger, database)
    print(f"{len(ledger.committed)} jobs, {len(ledger.handed)} hand-outs, {ledger.locked} answered locked")
