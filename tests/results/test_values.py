"""What a real worker's handler returned comes back, by the return annotation; or it is said why it does not."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pydantic
import pytest

from pgqueue import Job, JobFailed, PgQueue, RetryPolicy, Task
from pgqueue.model.payload import LARGEST_RESULT
from tests.support import Watch
from tests.worker.harness import ENDED, row_of

PATIENCE = 20


class Size(enum.Enum):
    """An enum."""

    SMALL = "small"


@dataclass
class Line:
    """A dataclass."""

    price: Decimal
    tags: list[str] = field(default_factory=list)


class Invoice(pydantic.BaseModel):
    """A model of pydantic."""

    number: int
    due: date


class Point(msgspec.Struct):
    """A struct of msgspec."""

    x: float


CASES: list[tuple[Any, Any]] = [
    (datetime, datetime(2030, 5, 1, 12, tzinfo=UTC)),
    (datetime, datetime(2030, 5, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
    (datetime, datetime(2030, 5, 1, 12)),
    (date, date.max),
    (timedelta, timedelta(days=1, microseconds=1)),
    (UUID, UUID(int=1)),
    (Decimal, Decimal("9.90")),
    (bytes, bytes(range(256))),
    (Path, Path("/tmp")),
    (Size, Size.SMALL),
    (Line, Line(Decimal("1.50"), ["a"])),
    (list[Line], [Line(Decimal(1)), Line(Decimal(2))]),
    (dict[UUID, Line], {UUID(int=2): Line(Decimal(3))}),
    (tuple[int, date], (1, date.min)),
    (set[str], {"a", "b"}),
    (Invoice, Invoice(number=1, due=date(2030, 1, 1))),
    (list[Invoice] | None, [Invoice(number=2, due=date.min)]),
    (Point, Point(1.5)),
    (float, 1e16),
    (float, 2.0),
    (int, -(2**70)),
    (int, 0),
    (bool, False),
    (str, ""),
    (str, "a\tb\nc\\u0000 \\N {\"'} 日本語 🐘 \u2028"),
    (list[Any], []),
    (Any, {"": None, "__proto__": [1, 2.5, True], "\\": "\x7f"}),
    (Any, [[[[]]], {}, None]),
    (None, None),
    (Line | None, None),
    (Any, None),
]


def declare(pgq: PgQueue[None], name: str, annotation: Any, value: Any, *, threads: bool) -> Task[[], Any]:
    """Declare a task that returns a value."""

    async def in_loop() -> Any:
        return value

    def in_thread() -> Any:
        return value

    function = in_thread if threads else in_loop
    function.__annotations__["return"] = annotation
    return pgq.task(name=name)(function)


async def test_each_type_comes_back_as_it_was_returned(pgq: PgQueue[None]) -> None:
    jobs = [
        declare(pgq, f"task {number}", annotation, value, threads=bool(number % 2)).enqueue()
        for number, (annotation, value) in enumerate(CASES)
    ]
    async with pgq.worker(concurrency=10):
        back = await pgq.agather(jobs, PATIENCE)
    wanted = [value for _, value in CASES]
    assert back == wanted
    assert [type(value) for value in back] == [type(value) for value in wanted]
    assert pgq.gather(jobs) == wanted
    for job, value in zip(jobs, wanted, strict=True):
        assert job.result() == value
    assert await pgq.job(jobs[10].id).aresult() == CASES[10][1], "an id is enough: the job says of which task it is"
    await pgq.aclose()


async def test_an_application_without_the_task_gets_plain_json(pgq: PgQueue[None], dsn: str) -> None:
    job = declare(pgq, "line", Line, Line(Decimal("1.50")), threads=False).enqueue()
    async with pgq.worker(concurrency=1):
        await job.await_(PATIENCE)
    await pgq.aclose()
    other = PgQueue(dsn)
    assert other.job(job.id).result() == {"price": "1.50", "tags": []}
    other.close()


class Mute:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


UNKEPT: list[tuple[Any, Any, str]] = [
    (str, "x" * LARGEST_RESULT, "the result of 65538 bytes cannot be stored, at most 65536 can"),
    (Any, object(), "JSON cannot hold the result"),
    (Any, Mute(), "JSON cannot hold the result"),
    (Any, {1: 2}, "the key 1 is of type int, not str"),
    (Any, "a\0b", "NUL"),
    (Any, "\ud800", "surrogates not allowed"),
    (Any, float("nan"), "the result cannot be stored as JSON"),
    (Any, 10**5000, "4300 digits"),
    (Any, datetime(2030, 1, 1), "JSON cannot hold the result"),
    (Line, {"price": "1"}, "is of type dict, not"),
    (Line, Line("1"), "is of type str, not Decimal"),  # type: ignore[arg-type]
    (Invoice, "no model", "is of type str"),
]


async def test_a_job_whose_result_cannot_be_kept_has_succeeded_and_says_so(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    jobs = [
        declare(pgq, f"task {number}", annotation, value, threads=bool(number % 2)).enqueue()
        for number, (annotation, value, _) in enumerate(UNKEPT)
    ]
    async with pgq.worker(concurrency=5):
        states = [await job.await_(PATIENCE) for job in jobs]
    assert states == ["succeeded"] * len(UNKEPT)
    for job, (_, _, said) in zip(jobs, UNKEPT, strict=True):
        row = row_of(database, job.id)
        assert (row["state"], row["result"], row["error_type"]) == ("succeeded", None, "pgqueue.InvalidPayload")
        assert said in row["error"]
        for failing in (job.result, lambda one=job: pgq.gather([one])):
            with pytest.raises(JobFailed) as failure:
                failing()
            assert (failure.value.state, failure.value.error_type) == ("succeeded", "pgqueue.InvalidPayload")
            assert said in failure.value.problem
    await pgq.aclose()


async def test_the_largest_result_is_kept(pgq: PgQueue[None]) -> None:
    largest = "é" * ((LARGEST_RESULT - 2) // 2)
    job = declare(pgq, "largest", str, largest, threads=False).enqueue()
    async with pgq.worker(concurrency=1):
        assert await job.aresult(PATIENCE) == largest
    await pgq.aclose()


async def test_a_result_that_looks_like_a_codecs_comes_back_as_it_is(pgq: PgQueue[None]) -> None:
    value = {"$codec": "fernet", "$body": "eA=="}
    job = declare(pgq, "odd", Any, value, threads=False).enqueue()
    async with pgq.worker(concurrency=1):
        await job.await_(PATIENCE)
    assert job.result() == value
    await pgq.aclose()


async def test_a_stored_result_that_no_longer_fits_is_one_clear_error(pgq: PgQueue[None], dsn: str) -> None:
    job = declare(pgq, "changed", str, "tomorrow", threads=False).enqueue()
    async with pgq.worker(concurrency=1):
        await job.await_(PATIENCE)
    await pgq.aclose()
    other = PgQueue(dsn)
    declare(other, "changed", date, date.min, threads=False)
    with pytest.raises(ValueError, match="the stored result='tomorrow' is not the text of a date"):
        other.job(job.id).result()
    other.close()


async def test_five_hundred_jobs_are_gathered_in_order_by_few_questions(
    pgq: PgQueue[None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    @pgq.task
    async def double(number: int) -> int:
        return 2 * number

    asked: list[object] = []
    ask = pgq._lazy_producer.aask

    async def counted(question: Any) -> Any:
        asked.append(question)
        return await ask(question)

    monkeypatch.setattr(pgq._lazy_producer, "aask", counted)
    jobs = pgq.enqueue_many(double.job(number) for number in range(500))
    async with pgq.worker(concurrency=20):
        assert await pgq.agather(jobs, PATIENCE) == [2 * number for number in range(500)]
        assert len(asked) < 150, "one question a look, not one a job"
    await watch.auntil(ENDED, 500, "succeeded")
    asked.clear()
    assert await pgq.agather(reversed(jobs)) == [2 * number for number in reversed(range(500))]
    assert len(asked) == 2
    await pgq.aclose()


async def test_a_mixed_gather_raises_for_the_first_that_failed(pgq: PgQueue[None]) -> None:
    @pgq.task(retry=RetryPolicy(max_retries=0))
    async def divide(number: int) -> float:
        return 1 / number

    jobs: list[Job[float]] = pgq.enqueue_many([divide.job(2), divide.job(0), divide.job(4)])
    async with pgq.worker(concurrency=3):
        with pytest.raises(JobFailed, match=rf"Job {jobs[1].id} .* is dead .*ZeroDivisionError: division by zero"):
            await pgq.agather(jobs, PATIENCE)
        assert await pgq.agather([jobs[0], jobs[2]]) == [0.5, 0.25]
    await pgq.aclose()
