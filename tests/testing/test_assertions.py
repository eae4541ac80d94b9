"""What is enqueued is found by what one says of it, and a failure says what is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import psycopg
import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import HandleError, InvalidArguments, InvalidOption
from pgqueue.testing import Jobs
from tests.testing.conftest import Shop

DAY = timedelta(days=1)


def test_a_job_is_found_by_some_of_its_arguments(shop: Shop, jobs: Jobs) -> None:
    first = shop.send.enqueue(1, "ada@example.com")
    second = shop.send.enqueue(2, subject="Goodbye")
    assert [job.id for job in jobs.assert_enqueued(shop.send)] == [first.id, second.id]
    assert [job.id for job in jobs.assert_enqueued(shop.send, address="ada@example.com")] == [first.id]
    assert [job.id for job in jobs.assert_enqueued("shop.send", args={"user": 2}, subject="Goodbye")] == [second.id]
    assert [job.id for job in jobs.assert_enqueued(user=ANY, count=2)] == [first.id, second.id]
    jobs.refute_enqueued(shop.send, user=3)
    jobs.refute_enqueued(shop.charge)


def test_a_default_counts_as_the_handler_gets_it(shop: Shop, jobs: Jobs) -> None:
    shop.send.enqueue(1)
    jobs.assert_enqueued(shop.send, subject="Welcome")
    jobs.refute_enqueued(shop.send, subject="Goodbye")


def test_arguments_are_compared_as_the_handler_gets_them(shop: Shop, jobs: Jobs) -> None:
    @shop.pgq.task
    def measure(scale: float, sizes: list[int], *others: int, **more: str) -> None: ...

    measure.enqueue(2, [1, 2], 3, 4, colour="red")
    jobs.assert_enqueued(measure, scale=2.0, sizes=(1, 2), others=(3, 4), colour="red")
    jobs.refute_enqueued(measure, others=(3,))
    jobs.refute_enqueued(measure, colour="blue")


def test_a_job_is_found_by_its_options(shop: Shop, jobs: Jobs) -> None:
    shop.send.using(priority=5, tags=["a", "b"], headers={"trace": "x", "user": "y"}).enqueue(1)
    jobs.assert_enqueued(shop.send, queue="email", priority=5, tags=["b"], headers={"trace": "x"})
    jobs.refute_enqueued(shop.send, queue="default")
    jobs.refute_enqueued(shop.send, priority=0)
    jobs.refute_enqueued(shop.send, tags=["c"])
    jobs.refute_enqueued(shop.send, headers={"trace": "y"})


def test_a_job_is_found_by_its_time(shop: Shop, jobs: Jobs) -> None:
    tomorrow = datetime.now(UTC) + DAY
    shop.send.using(run_at=tomorrow).enqueue(1)
    shop.send.using(delay="10m").enqueue(2)
    assert [job.args["user"] for job in jobs.assert_enqueued(run_at=tomorrow)] == [1]
    assert [job.args["user"] for job in jobs.assert_enqueued(delay="10m")] == [2]
    assert [job.args["user"] for job in jobs.assert_enqueued(within="11m")] == [2]
    jobs.assert_enqueued(within=2 * DAY, count=2)
    jobs.refute_enqueued(within="9m")
    jobs.refute_enqueued(delay="9m")
    jobs.refute_enqueued(run_at=tomorrow + timedelta(seconds=5))


def test_only_live_jobs_are_enqueued_unless_a_state_is_named(shop: Shop, jobs: Jobs) -> None:
    job = shop.send.enqueue(1)
    shop.pgq.inspector.cancel(job.id)
    jobs.refute_enqueued(shop.send)
    jobs.assert_enqueued(shop.send, state="cancelled")
    assert [found.state for found in jobs.all()] == ["cancelled"]
    assert jobs.all(shop.charge) == jobs.all(state="ready") == jobs.all(queue="default") == []


def test_a_failure_lists_what_is_enqueued(shop: Shop, jobs: Jobs) -> None:
    first = shop.send.enqueue(1, "ada@example.com")
    second = shop.charge.using(delay="2h").enqueue("good")
    with pytest.raises(AssertionError) as failure:
        jobs.assert_enqueued(shop.send, user=7, queue="email")
    width = max(len(first.id), len("id"))
    assert str(failure.value).splitlines() == [
        "No job shop.send with user=7 queue='email' is enqueued.",
        "These jobs are there:",
        f"  {'id':{width}}  state      queue    task         arguments                          due",
        f"  {first.id:{width}}  ready      email    shop.send    user=1, address='ada@example.com'",
        f"  {second.id:{width}}  scheduled  default  shop.charge  card='good'                        in 2 h",
    ]


def test_a_wrong_number_of_jobs_is_told_and_the_matching_ones_are_marked(shop: Shop, jobs: Jobs) -> None:
    for user in range(30):
        shop.send.enqueue(user)
    with pytest.raises(AssertionError, match=r"^30 jobs shop\.send are enqueued, not 29\.") as failure:
        jobs.assert_enqueued(shop.send, count=29)
    assert str(failure.value).count("->") == 20
    assert str(failure.value).endswith("and 10 more")
    with pytest.raises(AssertionError, match=r"^1 job shop\.send with user=3 is enqueued, and none was expected\."):
        jobs.refute_enqueued(shop.send, user=3)


def test_a_failure_without_any_job_says_so(shop: Shop, jobs: Jobs) -> None:
    with pytest.raises(AssertionError, match=r"^No job of any task is enqueued\.\nThere are no jobs at all\.$"):
        jobs.assert_enqueued()


def test_a_misspelt_argument_is_refused_where_a_refutation_would_always_hold(shop: Shop, jobs: Jobs) -> None:
    with pytest.raises(InvalidArguments, match="no parameter adress"):
        jobs.refute_enqueued(shop.send, adress="ada@example.com")
    with pytest.raises(InvalidArguments, match="is not a task"):
        jobs.refute_enqueued(print)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="not a state"):
        jobs.assert_enqueued(state="done")
    with pytest.raises(InvalidOption, match="within="):
        jobs.assert_enqueued(within="soon")
    with pytest.raises(InvalidOption, match="no time zone"):
        jobs.assert_enqueued(run_at=datetime(2030, 1, 1))
    with pytest.raises(InvalidOption, match="refute_enqueued"):
        jobs.assert_enqueued(count=0)


def test_a_transaction_that_is_never_committed_can_be_looked_through(shop: Shop, jobs: Jobs, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        shop.send.using(connection).enqueue(1)
        mine = jobs.on(connection)
        mine.assert_enqueued(shop.send, user=1)
        assert len(mine.all()) == 1
        jobs.refute_enqueued(shop.send)
        connection.rollback()
        mine.refute_enqueued(shop.send)


def test_a_session_can_be_looked_through_and_stays_the_callers(shop: Shop, jobs: Jobs, dsn: str) -> None:
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        session.execute(text("create temporary table mine (id int)"))
        shop.send.using(session).enqueue(1)
        jobs.on(session).assert_enqueued(shop.send, count=1)
        session.execute(text("insert into mine values (1)"))
        jobs.refute_enqueued(shop.send)
        session.rollback()
        jobs.on(session).refute_enqueued(shop.send)
    engine.dispose()


async def test_an_asynchronous_session_can_be_looked_through_by_its_synchronous_side(
    shop: Shop, jobs: Jobs, dsn: str
) -> None:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    async with AsyncSession(engine) as session:
        await shop.send.using(session).aenqueue(1)
        (job,) = await session.run_sync(lambda sync: jobs.on(sync).assert_enqueued(shop.send, user=1))
        assert job.args == {"user": 1}
        await session.rollback()
    await engine.dispose()
    jobs.refute_enqueued(shop.send)


def test_other_drivers_can_be_looked_through(shop: Shop, jobs: Jobs, dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    shop.send.using(connection, headers={"trace": "x"}).enqueue(1)
    jobs.on(connection).assert_enqueued(shop.send, user=1, headers={"trace": "x"})
    connection.rollback()
    connection.close()
    jobs.refute_enqueued(shop.send)


def test_what_carries_no_transaction_cannot_be_looked_through(jobs: Jobs) -> None:
    with pytest.raises(HandleError, match="carries no transaction"):
        jobs.on("postgresql://")
