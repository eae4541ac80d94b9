"""A drain runs what is ready with a real worker, says what failed, and never hangs."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from pgqueue import ConfigurationError, PgQueue
from pgqueue.testing import Jobs, draining
from tests.support import Watch
from tests.testing.conftest import Shop

ONE_DRAIN = 0.5  # seconds; the best of a few, because the machine may be busy


def test_a_drain_runs_what_is_ready_in_its_order_and_returns_what_ended(shop: Shop, jobs: Jobs) -> None:
    low, high = shop.send.enqueue(1), shop.send.using(priority=9).enqueue(2)
    shop.send.using(delay="1h").enqueue(3)
    ended = jobs.drain()
    assert [(job.id, job.state) for job in ended] == [(high.id, "succeeded"), (low.id, "succeeded")]
    assert shop.ran == [2, 1]
    jobs.assert_enqueued(shop.send, user=3, count=1)
    assert jobs.drain() == []


def test_a_drain_is_quick(shop: Shop, jobs: Jobs) -> None:
    took = []
    for user in range(4):
        shop.send.enqueue(user)
        began = time.monotonic()
        assert len(jobs.drain()) == 1
        took.append(time.monotonic() - began)
    assert min(took) < ONE_DRAIN, took


async def test_a_drain_can_share_the_event_loop_of_the_test(shop: Shop, jobs: Jobs) -> None:
    threads: list[threading.Thread] = []

    @shop.pgq.task
    async def note() -> None:
        threads.append(threading.current_thread())

    job = note.enqueue()
    assert [ended.id for ended in await jobs.adrain()] == [job.id]
    assert threads == [threading.current_thread()]
    with pytest.raises(ConfigurationError, match="adrain"):
        jobs.drain()


def test_jobs_that_jobs_enqueue_are_run_too_in_whatever_queue(shop: Shop, jobs: Jobs) -> None:
    @shop.pgq.task
    async def chain(left: int) -> None:
        shop.ran.append(left)
        if left:
            await chain.using(queue=f"queue {left}").aenqueue(left - 1)

    chain.enqueue(3)
    assert [job.queue for job in jobs.drain()] == ["default", "queue 3", "queue 2", "queue 1"]
    assert shop.ran == [3, 2, 1, 0]


def test_a_drain_leaves_no_connection_behind(shop: Shop, jobs: Jobs, watch: Watch) -> None:
    @shop.pgq.task(name="shop.first")
    async def first() -> None:
        await shop.send.aenqueue(1)

    with psycopg.connect(shop.pgq.settings.dsn, autocommit=True) as connection:
        connection.execute("select pgqueue.enqueue('shop.first')")
    assert len(jobs.drain()) == 2
    ours = "select from pg_stat_activity where datname = current_database() and application_name like 'pgqueue %%'"
    watch.until(f"select not exists ({ours})", timeout=5)


def test_a_job_that_failed_fails_the_test_with_the_traceback_of_its_handler(shop: Shop, jobs: Jobs) -> None:
    good, bad = shop.charge.enqueue("good"), shop.charge.enqueue("stolen")
    with pytest.raises(AssertionError) as failure:
        jobs.drain()
    message = str(failure.value)
    assert message.startswith("1 of 2 jobs failed; ")
    assert f"job {bad.id} shop.charge (card='stolen') is scheduled after attempt 1 of 3:\nTraceback" in message
    assert 'raise ValueError("refused by the bank")' in message
    assert f"job {good.id} " not in message
    assert jobs.drain() == [], "it was told once"


def test_a_job_may_fail_where_the_test_says_so(shop: Shop, jobs: Jobs) -> None:
    shop.charge.using(max_retries=0).enqueue("stolen")
    shop.charge.enqueue("good")
    assert [(job.state, job.error) for job in jobs.drain(raises=False)] == [
        ("dead", "refused by the bank"),
        ("succeeded", None),
    ]


def test_to_ask_for_a_later_run_is_no_failure(shop: Shop, jobs: Jobs) -> None:
    shop.charge.enqueue("later")
    shop.charge.enqueue("busy")
    assert jobs.drain() == []
    jobs.assert_enqueued(shop.charge, state="scheduled", count=2)


def test_what_is_due_later_runs_as_if_time_had_come(shop: Shop, jobs: Jobs, database: psycopg.Connection) -> None:
    shop.send.using(delay="30d").enqueue(3)
    shop.send.using(delay="2h").enqueue(2)
    shop.send.using(delay="1h").enqueue(1)
    shop.charge.using(delay="90m").enqueue("stolen")
    with pytest.raises(AssertionError, match=r"is dead after attempt 3 of 3"):
        jobs.drain(scheduled=True)
    assert shop.ran == [1, "stolen", 2, "stolen", "stolen", 3]
    jobs.refute_enqueued()


def test_a_paused_queue_holds_its_jobs_and_no_drain(shop: Shop, jobs: Jobs) -> None:
    shop.send.enqueue(1)
    shop.send.using(delay="1h").enqueue(2)
    shop.pgq.inspector.pause("email")
    assert jobs.drain(scheduled=True, timeout="3s") == []
    shop.pgq.inspector.resume("email")
    assert len(jobs.drain(scheduled=True)) == 2


def test_a_task_that_nobody_declares_is_a_failure(shop: Shop, jobs: Jobs, database: psycopg.Connection) -> None:
    database.execute("select pgqueue.enqueue('shop.sent')")
    with pytest.raises(AssertionError, match=r"declares no task 'shop\.sent', only shop\.charge, shop\.send"):
        jobs.drain(scheduled=True)


def test_a_handler_that_does_not_end_is_named_and_its_job_is_not_lost(shop: Shop, jobs: Jobs) -> None:
    stop = threading.Event()

    @shop.pgq.task(name="shop.hang")
    def hang() -> None:
        stop.wait(30)

    job = hang.enqueue()
    with pytest.raises(
        AssertionError, match=rf"After 0\.2 s there is still something to run(.|\n)+->  {job.id} +running"
    ):
        jobs.drain(timeout=0.2)
    stop.set()
    jobs.assert_enqueued(hang, state="ready", count=1)


def test_a_job_that_goes_on_for_ever_is_named(shop: Shop, jobs: Jobs) -> None:
    shop.charge.enqueue("later")
    with pytest.raises(AssertionError, match=r"still something to run(.|\n)+shop\.charge"):
        jobs.drain(scheduled=True, timeout=0.5)


def test_a_handler_that_blocks_the_event_loop_is_shown_where_it_is(
    shop: Shop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "GRACE", 0.1)
    stop, drains = threading.Event(), set(threading.enumerate())

    @shop.pgq.task
    async def block() -> None:
        stop.wait(30)

    block.enqueue()
    with pytest.raises(AssertionError, match=r"blocked here(.|\n)+stop\.wait\(30\)"):
        jobs.drain(timeout=0.2)
    stop.set()
    for thread in set(threading.enumerate()) - drains:
        if thread.name == "pgqueue drain":
            thread.join(10)
            assert not thread.is_alive()


def test_a_drain_runs_several_at_a_time_where_they_wait_for_each_other(shop: Shop, jobs: Jobs) -> None:
    meeting = threading.Barrier(2)

    @shop.pgq.task
    def meet() -> None:
        meeting.wait(10)

    shop.pgq.enqueue_many([meet.job(), meet.job()])
    assert len(jobs.drain(concurrency=2)) == 2


def test_an_application_without_a_task_is_told(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    assert Jobs(pgq).drain() == []
    database.execute("select pgqueue.enqueue('shop.send')")
    with pytest.raises(ConfigurationError, match="declares no task"):
        Jobs(pgq).drain()
    database.execute("select pgqueue.cancel(id) from pgqueue.all_jobs")
