"""Time goes on for what waits, and every job keeps its one place."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pgqueue import InvalidOption
from pgqueue.testing import Jobs
from tests.support import Watch
from tests.testing.conftest import Shop


def test_a_delayed_job_runs_once_its_time_has_come(shop: Shop, jobs: Jobs) -> None:
    shop.send.using(delay="1h").enqueue(1)
    shop.send.using(delay="3h").enqueue(2)
    assert jobs.travel("30m") == 2
    assert jobs.drain() == []
    jobs.assert_enqueued(shop.send, user=1, delay="1h", within="31m")
    assert jobs.travel(timedelta(minutes=30)) == 2
    assert [job.args for job in jobs.drain()] == [{"user": 1}]
    jobs.assert_enqueued(shop.send, user=2, within="2h", count=1)


def test_the_facts_of_a_job_and_its_place_move_together(shop: Shop, jobs: Jobs, database: psycopg.Connection) -> None:
    job = shop.send.using(delay="1h").enqueue(1)
    shop.send.enqueue(2)
    jobs.travel("10m")
    moved = """
        select s.due_at = j.run_at, round(extract(epoch from j.run_at - clock_timestamp()) / 60)
        from pgqueue.scheduled s join pgqueue.job j on j.id = s.job_id
    """
    assert database.execute(moved).fetchall() == [(True, 50)]
    assert shop.pgq.inspector.cancel(job.id) == "cancelled"
    assert database.execute("select count(*) from pgqueue.scheduled").fetchone() == (0,)


def test_a_retry_runs_when_its_pause_is_over(shop: Shop, jobs: Jobs) -> None:
    shop.charge.enqueue("stolen")
    jobs.drain(raises=False)
    jobs.travel("59m")
    assert jobs.drain() == []
    assert shop.ran == ["stolen"]
    jobs.travel("1m")
    jobs.drain(raises=False)
    assert shop.ran == ["stolen", "stolen"]


def test_a_key_with_an_end_runs_out(jobs: Jobs, database: psycopg.Connection) -> None:
    database.execute(
        "insert into pgqueue.job_key (queue, key, job_id, scope, until) values "
        "('q', 'ends', 1, 'ttl', now() + interval '1 hour'), ('q', 'stays', 2, 'finished', 'infinity')"
    )
    jobs.travel("1h")
    over = "select key, until <= clock_timestamp() from pgqueue.job_key order by key"
    assert database.execute(over).fetchall() == [("ends", True), ("stays", False)]


async def test_a_worker_that_runs_meanwhile_sees_it(shop: Shop, jobs: Jobs, watch: Watch) -> None:
    shop.send.using(delay="1h").enqueue(1)
    async with shop.pgq.worker(concurrency=1):
        await watch.auntil("select true from pgqueue.worker_idle")
        jobs.travel("1h")
        await watch.auntil("select true from pgqueue.job_history")
    assert shop.ran == [1]


def test_time_does_not_go_back(jobs: Jobs) -> None:
    with pytest.raises(InvalidOption, match="travel="):
        jobs.travel(-1)
