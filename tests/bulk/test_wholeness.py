"""All or none, in order, wherever a bulk is written; and what it answers."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from pgqueue import InvalidArguments, JobSpec, PgQueue, Task
from tests.bulk.conftest import Shrink
from tests.bulk.places import Place, open_place

Sending = Task[..., None]
Stored = Callable[[], list[tuple[int, Any]]]
SIZES = {"one statement": 20, "arrays": 250, "copy": 1050}


def numbered(send: Sending, count: int) -> Iterator[JobSpec[None]]:
    """Make jobs with numbers."""
    return (send.job(number) for number in range(count))


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, shrink: Shrink) -> int:
    """How many jobs, in chunks of 100: one chunk, several as arrays, several by COPY."""
    shrink(100, copied_from=100 if request.param == "copy" else 10**9)
    return SIZES[request.param]


async def test_ids_ascend_in_the_order_given_and_stand_so_in_the_table(
    place: Place, send: Sending, size: int, database: psycopg.Connection, copied: list[int], dsn: str
) -> None:
    ids = await place.write(numbered(send, size), returning="ids")
    assert len(ids) == size
    assert all(int(earlier) < int(later) for earlier, later in pairwise(ids))
    assert sum(copied) == (1000 if size == SIZES["copy"] else 0)
    if not place.commits:
        assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)
        assert await place.count() == size
        return
    rows = database.execute("select id::text, (args ->> 'number')::int from pgqueue.job order by job.id").fetchall()
    assert rows == [(job_id, number) for number, job_id in enumerate(ids)]
    places = database.execute("select job_id::text from pgqueue.ready order by queue, priority, seq").fetchall()
    assert [job_id for (job_id,) in places] == ids


def failing(send: Sending, count: int) -> Iterator[Any]:
    """Make jobs, and fail after the last."""
    yield from numbered(send, count)
    raise ZeroDivisionError("at the end")


async def afailing(send: Sending, count: int) -> AsyncIterator[Any]:
    """Fail as ``failing`` does."""
    for spec in failing(send, count):
        yield spec


def ending_in_no_job(send: Sending, count: int) -> Iterator[Any]:
    """Make jobs, and something else at last."""
    yield from numbered(send, count)
    yield "no job"


async def test_a_failure_at_the_last_element_leaves_none_and_the_place_usable(
    place: Place, send: Sending, size: int, stored: Stored
) -> None:
    with pytest.raises(ZeroDivisionError, match="at the end"):
        await place.write(failing(send, size))
    with pytest.raises(InvalidArguments, match="'no job' is not a job"):
        await place.write(ending_in_no_job(send, size))
    if place.is_async:
        with pytest.raises(ZeroDivisionError, match="at the end"):
            await place.write(afailing(send, size))
    assert stored() == []
    if place.connection is not None:
        assert await place.count() == 0
    assert await place.write(numbered(send, 3), returning="count") == 3


async def test_progress_grows_to_the_total(place: Place, send: Sending, size: int) -> None:
    told: list[int] = []
    await place.write(numbered(send, size), returning="count", progress=told.append)
    assert told == [*range(100, size, 100), size]


async def test_what_progress_raises_rolls_all_back(place: Place, send: Sending, size: int, stored: Stored) -> None:
    def stop(done: int) -> None:
        if done == size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await place.write(numbered(send, size), progress=stop)
    if place.connection is not None:
        assert await place.count() == 0
    assert stored() == []


async def test_a_bulk_answers_jobs_ids_or_a_count(place: Place, send: Sending, size: int) -> None:
    jobs = await place.write(numbered(send, size))
    assert [(job.task, job.queue, job.created, job.replaced) for job in jobs] == [
        ("send", "default", True, False)
    ] * size
    assert {job.origin is not None and job.origin.transaction is None for job in jobs} == {place.commits}
    ids = await place.write(numbered(send, size), returning="ids")
    assert int(jobs[-1].id) < int(ids[0])
    assert await place.write(numbered(send, size), returning="count") == size
    for returning, nothing in {"jobs": [], "ids": [], "count": 0}.items():
        assert await place.write(iter(()), returning=returning) == nothing


async def test_only_those_that_were_created_are_counted(pgq: PgQueue[None], send: Sending, shrink: Shrink) -> None:
    shrink(10, copied_from=10)
    keyed = [send.using(key=f"key {number % 15}").job(number) for number in range(25)]
    jobs = pgq.enqueue_many(keyed)
    assert [job.created for job in jobs] == [number < 15 for number in range(25)]
    assert [job.id for job in jobs[15:]] == [job.id for job in jobs[:10]]
    assert pgq.enqueue_many(keyed, returning="count") == 0
    assert pgq.enqueue_many(keyed, returning="ids") == [job.id for job in jobs]


@pytest.mark.parametrize("kind", ["awaiting own", "awaiting transaction", "awaiting autocommit"])
async def test_an_asynchronous_generator_is_read_in_order(
    kind: str, pgq: PgQueue[None], send: Sending, dsn: str, size: int, stored: Stored
) -> None:
    async def stream() -> AsyncIterator[JobSpec[None]]:
        async with await psycopg.AsyncConnection.connect(dsn) as rows:
            async for (number,) in await rows.execute("select n from generate_series(0, %s) n", (size - 1,)):
                yield send.job(number)

    async with open_place(kind, pgq, dsn) as place:
        await place.write(stream())
    assert [number for _, number in stored()] == list(range(size))


@pytest.mark.parametrize("kind", ["transaction", "autocommit"])
async def test_a_generator_may_enqueue_on_the_same_connection(
    kind: str, pgq: PgQueue[None], send: Sending, dsn: str, size: int, stored: Stored
) -> None:
    async def both(place: Place) -> AsyncIterator[JobSpec[None]]:
        for number in range(size):
            if number % 50 == 0:
                await send.using(place.connection).aenqueue(-number - 1)
            yield send.job(number)

    def one(place: Place) -> Iterator[JobSpec[None]]:
        for number in range(size):
            if number % 50 == 0:
                send.using(place.connection).enqueue(-number - 1)
            yield send.job(number)

    async with open_place(f"blocking {kind}", pgq, dsn) as place:
        await place.write(one(place))
    async with open_place(f"awaiting {kind}", pgq, dsn) as place:
        await place.write(both(place))
    numbers = [number for _, number in stored()]
    assert [number for number in numbers if number >= 0] == [*range(size), *range(size)]
    assert sorted(number for number in numbers if number < 0) == sorted([-n - 1 for n in range(0, size, 50)] * 2)


async def test_two_bulks_at_once_do_not_mix(pgq: PgQueue[None], send: Sending, shrink: Shrink, stored: Stored) -> None:

    shrink(100, copied_from=100)
    met = threading.Barrier(2, timeout=10)

    def numbers(which: int) -> Iterator[JobSpec[None]]:
        for number in range(650):
            if number % 100 == 50:
                met.wait()  # both are in the middle, with chunks written
            yield send.job([which, number])

    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda which: pgq.enqueue_many(numbers(which), returning="ids"), range(2)))
    rows = {str(job_id): number for job_id, number in stored()}
    for which in range(2):
        assert all(int(a) < int(b) for a, b in pairwise(ids[which]))
        assert [rows.pop(job_id) for job_id in ids[which]] == [[which, number] for number in range(650)]
    assert rows == {}
