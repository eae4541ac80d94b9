"""PostgreSQL goes away for a while, crashes, or ends single connections: the same worker goes on, and each job ends once."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from pgqueue import EmbeddedServer, PgQueue
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from tests.support import Watch
from tests.worker.harness import ENDED, Heard, timed
from tests.worker.processes import DEFAULT, Crew, stop

BEFORE, AFTER = 400, 100


class Onlooker(Watch):
    """Waits like Watch on a database that has its triggers already."""

    def __enter__(self) -> Onlooker:
        self._asking = psycopg.connect(self._dsn, autocommit=True)
        self._listening = psycopg.connect(self._dsn, autocommit=True)
        self._listening.execute("listen test_changed")
        return self


@pytest.fixture
def own_server(no_environment: None) -> Iterator[EmbeddedServer]:
    """A server that the test may stop; it is migrated."""
    version = int(os.environ.get("PGQUEUE_TEST_POSTGRES", "18"))
    server = EmbeddedServer(version=version, settings={"fsync": "off"})  # the server dies, not the machine
    server.start()
    migrate(Settings(server.dsn, "pgqueue"))
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crash", "seconds", "timing"),
    [
        pytest.param(False, 4.0, {"beat": 0.5, "lease": 3.0}, id="stopped"),
        pytest.param(True, 1.0, DEFAULT, id="killed"),
        pytest.param(False, 21.0, DEFAULT, id="stopped for long", marks=pytest.mark.long),
    ],
)
def test_a_worker_outlives_its_database_and_every_job_ends_once(
    own_server: EmbeddedServer, tmp_path: Path, *, crash: bool, seconds: float, timing: Mapping[str, float]
) -> None:
    """The outages are longer than the lease, but for the one after a crash."""
    crew = Crew(own_server.dsn, tmp_path)
    member = crew.start(timing, concurrency=20)
    try:
        with Watch(own_server.dsn) as watch:
            enqueue(own_server.dsn, BEFORE)
            watch.until("select count(*) >= 60 from pgqueue.job_history")
        own_server.kill() if crash else own_server.stop()
        threading.Event().wait(seconds)  # the length of the outage, nothing is waited for
        own_server.start()
        with Onlooker(own_server.dsn) as watch:
            enqueue(own_server.dsn, AFTER)
            watch.until(ENDED, BEFORE + AFTER, "succeeded", timeout=60)
        assert member.poll() is None
        assert stop(member) == 0
        check(crew, own_server.dsn)
    finally:
        crew.end()


def enqueue(dsn: str, count: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "select pgqueue.enqueue('work', '{\"seconds\": 0.05}') from generate_series(1, %s)", (count,)
        )


def check(crew: Crew, dsn: str) -> None:
    """Compare what the handlers recorded with what the database says."""
    with psycopg.connect(dsn) as connection:
        ended = connection.execute("select id, run from pgqueue.job_history where state = 'succeeded'").fetchall()
        workers = connection.execute("select distinct worker_id from pgqueue.job_history").fetchall()
        others = connection.execute("select * from pgqueue.job_attempt").fetchall()
        misplaced = connection.execute("select * from pgqueue.misplaced_jobs").fetchall()
        left = connection.execute("select (select count(*) from pgqueue.job), (select count(*) from pgqueue.lease)")
        assert left.fetchone() == (0, 0)
    completed = crew.recorded("end")
    assert len({job for job, _ in ended}) == len(ended) == BEFORE + AFTER
    assert sorted(completed) == sorted(ended), "what a handler completed is what ended, and nothing else"
    assert crew.recorded("start") != []
    assert sorted(crew.recorded("start")) == sorted(completed), "no handler ran twice"
    assert (len(workers), others, misplaced) == (1, [], [])


PURPOSES = ("claim", "finish", "move", "listen", "heartbeat")
REPLACED = """
    select bool_or(pid <> all(%s)) from pg_stat_activity
    where datname = current_database() and application_name = %s
"""


async def test_each_of_the_workers_connections_may_be_ended_under_load(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: Counter[int] = Counter()

    @pgq.task
    async def note(number: int) -> None:
        ran[number] += 1

    heard = Heard(pgq.events)
    numbers = iter(range(100_000))
    async with timed(pgq.worker(concurrency=10), beat=0.2, sweep=0.2):
        for purpose in PURPOSES:
            name = f"pgqueue {purpose}"
            await watch.auntil(REPLACED, [], name)
            pgq.enqueue_many([note.job(next(numbers)) for _ in range(300)])
            old = [
                pid
                for (pid,) in database.execute(
                    "select pid from pg_stat_activity where datname = current_database() and application_name = %s",
                    (name,),
                ).fetchall()
            ]
            database.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", (old,))
            pgq.enqueue_many([note.job(next(numbers)) for _ in range(300)])
            await watch.auntil(REPLACED, old, name, timeout=10)
        await watch.auntil(ENDED, 600 * len(PURPOSES), "succeeded")
    assert ran == Counter(range(600 * len(PURPOSES)))
    assert heard.named("job.lost") == []
    failed = {event["service"] for event in heard.named("service.failed")}
    assert {"listener", "heartbeat"} <= failed, json.dumps(sorted(failed))
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)


async def test_all_connections_at_once_may_be_ended_under_load(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: Counter[int] = Counter()

    @pgq.task
    async def note(number: int) -> None:
        ran[number] += 1

    async with timed(pgq.worker(concurrency=10), beat=0.2, sweep=0.2):
        for round_ in range(5):
            pgq.enqueue_many([note.job(round_ * 400 + n) for n in range(400)])
            await watch.auntil("select count(*) > %s from pgqueue.job_history", round_ * 400)
            database.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name like 'pgqueue %'"
            )
        await watch.auntil(ENDED, 2000, "succeeded")
    assert ran == Counter(range(2000))
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)
