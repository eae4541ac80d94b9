"""Completion and checkpoints in real processes: workers that are killed after the commit, and children."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgqueue import PgQueue
from tests.completion import application
from tests.completion.effects import effects_of
from tests.poison.forks import Forks
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, errors_of, row_of, runs_of

MODULE = "tests.completion.application"
KILLS = 3


@pytest.fixture
def app(worker_dsn: str) -> Iterator[PgQueue[None]]:
    """The application on the test's database."""
    with application.pgq.working_on(worker_dsn):
        yield application.pgq
        application.pgq.close()


@pytest.mark.parametrize(("completes", "effects"), [(True, 1), (False, 2)])
def test_a_kill_after_the_commit_repeats_the_work_unless_the_commit_ended_the_job(
    forks: Forks,
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    dsn: str,
    worker_dsn: str,
    tmp_path: Path,
    completes: bool,
    effects: int,
) -> None:
    deadly = pgq.named("die after the commit")
    jobs = [deadly.enqueue(dsn=dsn, completes=completes).id for _ in range(KILLS)]
    member = forks.start(MODULE, worker_dsn, tmp_path, again=True, concurrency=1)
    watch.until(ENDED, KILLS, "succeeded", timeout=60)
    assert member.died(KILLS) == [-9] * KILLS
    assert effects_of(database, *jobs) == [effects] * KILLS


def test_a_checkpoint_survives_the_kill_of_its_worker(
    forks: Forks,
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    worker_dsn: str,
    tmp_path: Path,
) -> None:
    job = pgq.named("die after a checkpoint").enqueue().id
    forks.start(MODULE, worker_dsn, tmp_path, again=True, concurrency=1)
    watch.until(STATE, "succeeded", job)
    row = row_of(database, job)
    assert (row["result"], row["attempt"], row["crashes"]) == ({"page": 7}, 1, 1)


async def test_a_handler_in_a_child_process_ends_its_job_or_goes_on_where_another_child_died(
    app: PgQueue[None], database: psycopg.Connection, watch: Watch, dsn: str
) -> None:
    ways = {way: application.complete_in_a_child.enqueue(dsn, way).id for way in ("commit", "rollback", "error", "die")}
    ways["async"] = application.acomplete_in_a_child.enqueue(dsn).id
    resumed = application.go_on_in_a_child.enqueue().id
    heard = Heard(app.events)
    async with app.worker(children=1):
        await watch.auntil(ENDED, 6, "succeeded")
    assert effects_of(database, *ways.values()) == [1] * 5
    again, once = ["retry", "succeeded"], ["succeeded"]
    assert {way: outcomes_of(database, job) for way, job in ways.items()} == {
        "commit": once,
        "rollback": again,
        "error": again,
        "die": once,
        "async": once,
    }
    assert {way: row_of(database, job)["result"] for way, job in ways.items()} == {
        **dict.fromkeys(ways, 1),
        "rollback": 2,
        "error": 2,
    }
    assert errors_of(database, ways["rollback"])[0][0] == "pgqueue.JobNotCommitted"
    assert outcomes_of(database, resumed) == ["crashed", "succeeded"]
    assert row_of(database, resumed)["result"] == {"page": 7}
    assert heard.named("job.lost") == []


def outcomes_of(database: psycopg.Connection, job: str) -> list[str]:
    """Return the outcomes of a job's runs; the runs' numbers grow also when a job waited too long for a child."""
    return [outcome for _, _, outcome in runs_of(database, job)]
