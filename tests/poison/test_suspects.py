"""Suspects in one worker: in a line, with their starts recorded, alone in the end, and handed back when it does not serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest

from pgqueue import PgQueue
from pgqueue.model.job import ClaimedJob
from pgqueue.postgres.store import PostgresWorker
from pgqueue.worker import suspects
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, row_of, runs_of, timed

STARTED = "select exists (select from pgqueue.lease where %s = any(started))"
HELD = "select count(*) = %s from pgqueue.lease l, unnest(l.job_ids)"
QUICK = {"beat": 0.1, "poll": 0.1}
PATIENCE = 20.0


class Stage:
    """Handlers that say when they start, and wait until the test lets them end."""

    def __init__(self, pgq: PgQueue[None], database: psycopg.Connection) -> None:
        self.running: list[str] = []
        self.seen: list[str] = []
        self._database = database
        self._ends: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()

        @pgq.task(name="play")
        async def play(name: str) -> None:
            self.running.append(name)
            self.seen.append(name)
            self._news.set()
            try:
                await self._end_of(name).wait()
            finally:
                self.running.remove(name)
                self._news.set()

        self._play = play

    def job(self, name: str, crashes: int = 0) -> str:
        """Enqueue a job that was held so often by a worker that died."""
        with self._database.transaction():
            job = self._play.using(self._database).enqueue(name).id
            self._database.execute("update pgqueue.job set crashes = %s where id = %s", (crashes, job))
        return job

    def end(self, *names: str) -> None:
        """Let handlers end, now or as soon as they start."""
        for name in names:
            self._end_of(name).set()

    async def until(self, said: Callable[[], bool]) -> None:
        """Wait until what runs is so."""
        async with asyncio.timeout(PATIENCE):
            while not said():
                self._news.clear()
                await self._news.wait()

    def _end_of(self, name: str) -> asyncio.Event:
        return self._ends.setdefault(name, asyncio.Event())


@pytest.fixture
def stage(pgq: PgQueue[None], database: psycopg.Connection) -> Stage:
    return Stage(pgq, database)


def worker_of(pgq: PgQueue[None], **options: Any) -> Any:
    """Return a worker that looks often."""
    return timed(pgq.worker(**{"concurrency": 10, **options}), **QUICK)


async def test_suspects_run_one_after_the_other_and_each_start_is_recorded_before(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "PROVEN_SECONDS", 60.0)
    jobs = {name: stage.job(name, crashes=1) for name in "abc"}
    fresh = stage.job("fresh")
    stage.end("fresh")
    async with worker_of(pgq):
        await watch.auntil(STATE, "succeeded", fresh)
        for ended in range(3):
            await stage.until(lambda: len(stage.running) == 1)
            name = stage.running[0]
            recorded = database.execute("select unnest(started) from pgqueue.lease").fetchall()
            assert (int(jobs[name]),) in recorded
            assert len(recorded) <= ended + 1, "only those that were called"
            stage.end(name)
            await watch.auntil(STATE, "succeeded", jobs[name])


async def test_the_next_suspect_starts_when_one_has_run_for_a_second(
    pgq: PgQueue[None], watch: Watch, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "PROVEN_SECONDS", 0.1)
    for name in "ab":
        stage.job(name, crashes=1)
    async with worker_of(pgq):
        await stage.until(lambda: len(stage.running) == 2)
        stage.end("a", "b")
        await watch.auntil(ENDED, 2, "succeeded")


async def test_the_next_suspect_waits_until_the_outcome_of_the_one_before_is_written(
    pgq: PgQueue[None], dsn: str, watch: Watch, stage: Stage
) -> None:
    first = stage.job("first", crashes=1)
    async with worker_of(pgq):
        await stage.until(lambda: stage.running == ["first"])
        with psycopg.connect(dsn) as holder:
            holder.execute("select from pgqueue.job where id = %s for update", (first,))
            stage.end("first", "second")
            second = stage.job("second", crashes=1)
            await stage.until(lambda: stage.running == [])
            await watch.auntil(HELD, 2)
            assert not database_says(dsn, STARTED, second), "a crash would count against the first one, too"
        await watch.auntil(ENDED, 2, "succeeded")


async def test_one_that_is_suspected_twice_runs_alone(pgq: PgQueue[None], watch: Watch, stage: Stage) -> None:
    before = stage.job("before")
    async with worker_of(pgq):
        await stage.until(lambda: stage.running == ["before"])
        stage.job("alone", crashes=2)
        await watch.auntil(HELD, 2)
        stage.job("after")
        stage.end("before")
        await stage.until(lambda: stage.running == ["alone"])
        await watch.auntil(STATE, "succeeded", before)
        stage.job("later")
        await watch.auntil("select count(*) >= 2 from pgqueue.ready")
        assert stage.running == ["alone"]
        stage.end("alone", "after", "later")
        await watch.auntil(ENDED, 4, "succeeded")


async def test_a_worker_that_cannot_be_emptied_hands_the_suspect_to_others_and_goes_on(
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "PROVEN_SECONDS", 0.0)
    monkeypatch.setattr(suspects, "ALONE_PATIENCE", 0.3)
    stage.job("proven", crashes=1)
    async with worker_of(pgq):
        await stage.until(lambda: stage.running == ["proven"])
        alone = stage.job("alone", crashes=2)
        await watch.auntil(STATE, "scheduled", alone)
        row = row_of(database, alone)
        assert (row["attempt"], row["crashes"], "alone" in stage.seen) == (0, 2, False)
        fresh = stage.job("fresh")
        stage.end("fresh")
        await watch.auntil(STATE, "succeeded", fresh)
        stage.end("proven")
        await watch.auntil(ENDED, 2, "succeeded")
    assert runs_of(database, alone) == [], "it was never called"


async def test_one_that_has_to_be_alone_is_not_handed_back_with_what_is_buffered_while_it_waits(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, stage: Stage
) -> None:
    stage.job("first")
    async with worker_of(pgq, concurrency=2):
        await stage.until(lambda: stage.running == ["first"])
        alone = stage.job("alone", crashes=2)
        await watch.auntil(HELD, 2)
        await asyncio.sleep(1.5)  # longer than a worker keeps what its slots hold up
        stage.end("first", "alone")
        await watch.auntil(STATE, "succeeded", alone)
    assert row_of(database, alone)["run"] == 1


async def test_a_start_is_not_recorded_while_no_slot_is_free(
    pgq: PgQueue[None], dsn: str, watch: Watch, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "PROVEN_SECONDS", 60.0)
    jobs = {name: stage.job(name, crashes=1) for name in "ab"}
    async with worker_of(pgq, concurrency=2):
        await stage.until(lambda: len(stage.running) == 1)
        [first] = stage.running
        await watch.auntil(HELD, 2)
        stage.job("fresh")
        await stage.until(lambda: len(stage.running) == 2)
        monkeypatch.setattr(suspects, "PROVEN_SECONDS", 0.0)  # the next one may start, but could not run
        await asyncio.sleep(4 * suspects.LOOK)
        [waiting] = set(jobs) - {first}
        assert not database_says(dsn, STARTED, jobs[waiting])
        stage.end("fresh", "a", "b")
        await watch.auntil(ENDED, 3, "succeeded")


async def test_a_worker_that_dies_while_one_is_alone_ends_that_one_and_nobody_who_waits(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, stage: Stage
) -> None:
    killer, *waiting = [stage.job(name, crashes=2) for name in ("killer", "a", "b")]
    async with timed(pgq.worker(concurrency=10), **QUICK, sweep=0.1):
        await stage.until(lambda: stage.running == ["killer"])
        await watch.auntil(HELD, 3)
        database.execute("delete from pgqueue.worker")  # as a sweep does with a worker that died
        await watch.auntil(STATE, "dead", killer)
        stage.end("killer", "a", "b")
        await watch.auntil(ENDED, 2, "succeeded")
    assert [row_of(database, job)["crashes"] for job in (killer, *waiting)] == [3, 2, 2]


async def test_a_stop_hands_back_who_waits(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, stage: Stage
) -> None:
    jobs = [stage.job(name, crashes=1) for name in "abc"]
    worker = worker_of(pgq)
    async with worker:
        await stage.until(lambda: len(stage.running) == 1)
        await watch.auntil(HELD, 3)
        worker.request_stop()
        await watch.auntil("select count(*) = 2 from pgqueue.ready")
        stage.end("a", "b", "c")
    assert len(stage.seen) == 1
    rows = [row_of(database, job) for job in jobs]
    assert sorted((row["state"], row["attempt"], row["crashes"]) for row in rows) == [
        ("ready", 0, 1),
        ("ready", 0, 1),
        ("succeeded", 1, 1),
    ]


async def test_a_pause_hands_back_who_waits(pgq: PgQueue[None], watch: Watch, stage: Stage) -> None:
    for name in "abc":
        stage.job(name, crashes=1)
    async with worker_of(pgq):
        await stage.until(lambda: len(stage.running) == 1)
        await watch.auntil(HELD, 3)
        await asyncio.to_thread(pgq.inspector.pause, "default")
        await watch.auntil("select count(*) = 2 from pgqueue.ready")
        stage.end("a", "b", "c")
        await watch.auntil(ENDED, 1, "succeeded")
        assert len(stage.seen) == 1
        await asyncio.to_thread(pgq.inspector.resume, "default")
        await watch.auntil(ENDED, 3, "succeeded")


async def test_a_waiting_suspect_can_be_cancelled(pgq: PgQueue[None], watch: Watch, stage: Stage) -> None:
    stage.end("b")
    first = stage.job("a", crashes=2)
    async with worker_of(pgq):
        await stage.until(lambda: stage.running == ["a"])
        second = stage.job("b", crashes=1)
        await asyncio.to_thread(pgq.inspector.cancel, second)
        await watch.auntil(STATE, "cancelled", second)
        stage.end("a")
        await watch.auntil(STATE, "succeeded", first)
    assert stage.seen == ["a"]


async def test_a_worker_that_was_taken_for_dead_drops_its_suspects_and_they_run_under_its_new_identity(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, stage: Stage
) -> None:
    jobs = [stage.job(name, crashes=1) for name in "abc"]
    worker = timed(pgq.worker(concurrency=10), **QUICK, sweep=0.1)
    async with worker:
        await stage.until(lambda: len(stage.running) == 1)
        await watch.auntil(HELD, 3)
        [called] = stage.seen
        database.execute("delete from pgqueue.worker")
        await watch.auntil("select crashes = 2 from pgqueue.all_jobs where id = %s", jobs["abc".index(called)])
        stage.end("a", "b", "c")
        await watch.auntil(ENDED, 3, "succeeded")
    rows = {name: row_of(database, job) for name, job in zip("abc", jobs, strict=True)}
    assert {name: row["crashes"] for name, row in rows.items()} == {**dict.fromkeys("abc", 1), called: 2}
    assert {row["attempt"] for row in rows.values()} == {1}


def database_says(dsn: str, question: LiteralString, *parameters: Any) -> Any:
    """Ask once, on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(question, parameters).fetchone()
        return row is not None and row[0]


async def test_more_and_more_suspects_start_while_nobody_dies(
    pgq: PgQueue[None], watch: Watch, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "PROVEN_SECONDS", 0.2)
    names = [f"job {number}" for number in range(15)]
    for name in names:
        stage.job(name, crashes=1)
    async with worker_of(pgq, concurrency=20):
        together = list[int]()
        for least in (1, 2, 4, 8):
            await stage.until(lambda least=least: len(stage.running) >= least)  # type: ignore[misc]
            together.append(len(stage.running))
        assert together == [1, 2, 4, 8]
        stage.end(*names)
        await watch.auntil(ENDED, 15, "succeeded")


async def test_one_that_has_been_alone_for_long_has_others_beside_it_and_a_crash_no_longer_ends_it(
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "ALONE_SECONDS", (0.2, 60.0))
    alone = stage.job("alone", crashes=2)
    async with worker_of(pgq):
        await stage.until(lambda: stage.running == ["alone"])
        stage.job("beside")
        await stage.until(lambda: stage.running == ["alone", "beside"])
        assert database.execute("select started from pgqueue.lease where started is not null").fetchall() == [
            ([-int(alone)],)
        ]
        database.execute("delete from pgqueue.worker")  # as a sweep does with a worker that died
        await watch.auntil("select crashes = 3 from pgqueue.all_jobs where id = %s", alone)
        assert row_of(database, alone)["state"] != "dead"
        stage.end("alone", "beside")
        await watch.auntil(ENDED, 2, "succeeded")


async def test_a_stop_waits_for_the_record_of_a_start_and_hands_the_suspect_back_uncharged(
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answer, start = asyncio.Event(), asyncio.Event(), PostgresWorker.start

    async def slow(self: PostgresWorker, job: ClaimedJob) -> bool:
        asked.set()
        held = await start(self, job)
        await answer.wait()
        return held

    monkeypatch.setattr(PostgresWorker, "start", slow)
    job = stage.job("suspect", crashes=1)
    worker = worker_of(pgq)
    await worker.start()
    await asked.wait()
    stopping = asyncio.create_task(worker.stop())
    await watch.auntil("select exists (select from pgqueue.lease where started is not null)")
    answer.set()
    assert await stopping == 0
    row = row_of(database, job)
    assert (row["state"], row["crashes"], row["attempt"], stage.seen) == ("ready", 1, 0, [])


async def test_a_start_is_not_recorded_while_the_limit_of_its_task_is_reached(
    pgq: PgQueue[None], database: psycopg.Connection, dsn: str, watch: Watch
) -> None:
    running, release = asyncio.Event(), asyncio.Event()

    @pgq.task(limit=1)
    async def single() -> None:
        running.set()
        await release.wait()

    single.enqueue()
    async with worker_of(pgq):
        await running.wait()
        with database.transaction():
            suspect = single.using(database).enqueue().id
            database.execute("update pgqueue.job set crashes = 1 where id = %s", (suspect,))
        await watch.auntil(HELD, 2)
        await asyncio.sleep(4 * suspects.LOOK)
        assert not database_says(dsn, STARTED, suspect)
        release.set()
        await watch.auntil(ENDED, 2, "succeeded")
