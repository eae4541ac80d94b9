"""Handlers that block the event loop, hold the GIL or leave threads behind: what they hold up, and that nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from pgqueue import PgQueue
from pgqueue.backend import Heart, Outcome
from pgqueue.telemetry.events import Event, Events
from pgqueue.worker.stalls import LOOK_SECONDS, Stalls
from tests.poison.blocking import MARKS, OTHER_GATE
from tests.poison.forks import SHORT, Forks, Member
from tests.support import Watch
from tests.worker.crew import GATE
from tests.worker.fakes import Hands, job_of, state_of
from tests.worker.harness import ENDED, PATIENCE, STATE, row_of, runs_of

MODULE = "tests.poison.blocking"
MARKED = "select count(*) = %s from public.marks where kind = %s and job_id = any(%s::bigint[])"
BEATS = "select beat > %s from pgqueue.worker where pid = %s"


@pytest.fixture(autouse=True)
def marks(request: pytest.FixtureRequest) -> None:
    """The table in which handlers say what they do."""
    if "database" in request.fixturenames:
        request.getfixturevalue("database").execute(MARKS)


@pytest.fixture
def keeper(dsn: str) -> Iterator[psycopg.Connection]:
    """Holds both gates."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s), pg_advisory_lock(%s)", (GATE, OTHER_GATE))
        yield connection


def open_gate(keeper: psycopg.Connection, gate: int) -> None:
    keeper.execute("select pg_advisory_unlock(%s)", (gate,))


def beat_of(database: psycopg.Connection, member: Member) -> int:
    row = database.execute("select beat from pgqueue.worker where pid = %s", (member.pid,)).fetchone()
    assert row is not None, "the worker was taken for dead"
    return int(row[0])


def pids_of(database: psycopg.Connection, jobs: list[str]) -> dict[int, list[int]]:
    """Return the processes in which each job was started."""
    rows = database.execute(
        "select job_id, array_agg(pid) from public.marks where kind = 'start' and job_id = any(%s::bigint[]) group by 1",
        (jobs,),
    )
    return dict(rows.fetchall())


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.long)])
def test_a_handler_that_blocks_its_loop_holds_up_neither_what_is_buffered_nor_threads_nor_children(
    forks: Forks,
    pgq: PgQueue[None],
    keeper: psycopg.Connection,
    database: psycopg.Connection,
    watch: Watch,
    dsn: str,
    worker_dsn: str,
    tmp_path: Path,
    seconds: float,
) -> None:
    elsewhere = [pgq.named(task).enqueue(dsn=dsn).id for task in ("thread", "process")]
    blocked = forks.start(MODULE, worker_dsn, tmp_path, timing=SHORT, concurrency=12, children=1)
    watch.until(MARKED, 2, "start", elsewhere)
    with database.transaction():
        blocker = pgq.named("block").using(database, priority=9).enqueue(dsn=dsn).id
        innocents = [pgq.named("work").using(database).enqueue(dsn=dsn).id for _ in range(8)]
    watch.until(MARKED, 1, "start", [blocker])
    beat = beat_of(database, blocked)
    other = forks.start(MODULE, worker_dsn, tmp_path, timing=SHORT, concurrency=5, children=1)
    watch.until(ENDED, 8, "succeeded")
    assert pids_of(database, innocents) == {int(job): [other.pid] for job in innocents}
    assert {row_of(database, job)["crashes"] for job in innocents} == {0}
    open_gate(keeper, OTHER_GATE)
    watch.until(MARKED, 2, "end", elsewhere)
    watch.until(BEATS, beat + 5, blocked.pid)
    time.sleep(seconds)
    [told] = blocked.events("loop.blocked")
    assert "blocking.py" in told["_where"], "the handler's line"
    assert "in block, there" in told["_where"]
    assert beat_of(database, blocked) > beat + 4 * seconds / 2
    open_gate(keeper, GATE)
    watch.until(ENDED, 11, "succeeded")
    assert [runs_of(database, job) for job in (blocker, *elsewhere)] == [[(1, 1, "succeeded")]] * 3
    assert blocked.events("worker.lost") == other.events("worker.rescued") == []


@pytest.mark.parametrize("seconds", [3.0, pytest.param(15.0, marks=pytest.mark.long)])
def test_a_worker_whose_handler_holds_the_gil_longer_than_the_lease_is_taken_for_dead_and_its_outcome_is_dropped(
    forks: Forks,
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    dsn: str,
    worker_dsn: str,
    tmp_path: Path,
    seconds: float,
) -> None:
    holding = forks.start(MODULE, worker_dsn, tmp_path, timing=SHORT, concurrency=10)
    watch.until("select true from pgqueue.worker")
    with database.transaction():
        holder = pgq.named("gil").using(database, priority=9).enqueue(dsn=dsn, seconds=seconds).id
        innocents = [pgq.named("work").using(database).enqueue(dsn=dsn).id for _ in range(5)]
    watch.until(MARKED, 1, "start", [holder])
    other = forks.start(MODULE, worker_dsn, tmp_path, timing=SHORT, concurrency=10)
    watch.until(ENDED, 6, "succeeded")
    assert runs_of(database, holder) == [(1, 0, "rescued"), (2, 1, "succeeded")]
    assert row_of(database, holder)["result"] == "run 2"
    watch.until(MARKED, 2, "end", [holder])
    watch.until("select count(*) = 2 from pgqueue.worker")  # it goes on as another one
    assert len(holding.events("worker.lost")) == 1
    assert pids_of(database, innocents) == {int(job): [other.pid] for job in innocents}
    later = pgq.named("work").enqueue(dsn=dsn).id
    watch.until(STATE, "succeeded", later)
    assert runs_of(database, holder) == [(1, 0, "rescued"), (2, 1, "succeeded")], "one outcome"


def test_a_handler_that_holds_the_gil_for_less_than_the_lease_costs_nothing_but_the_time(
    forks: Forks,
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    dsn: str,
    worker_dsn: str,
    tmp_path: Path,
) -> None:
    holder = pgq.named("gil").using(priority=9).enqueue(dsn=dsn, seconds=1.5).id
    innocents = [pgq.named("work").enqueue(dsn=dsn).id for _ in range(5)]
    member = forks.start(MODULE, worker_dsn, tmp_path, timing={**SHORT, "lease": 5.0}, concurrency=10)
    watch.until(ENDED, 6, "succeeded")
    assert [row_of(database, job)["crashes"] for job in (holder, *innocents)] == [0] * 6
    assert runs_of(database, holder) == [(1, 1, "succeeded")]
    assert member.events("worker.lost") == []


def test_a_worker_with_too_many_threads_left_behind_ends_with_5_and_loses_nothing(
    forks: Forks,
    pgq: PgQueue[None],
    database: psycopg.Connection,
    watch: Watch,
    dsn: str,
    worker_dsn: str,
    tmp_path: Path,
) -> None:
    waiting = pgq.named("wait").enqueue(dsn=dsn).id
    member = forks.start(MODULE, worker_dsn, tmp_path, timing={"soft_stop": 0.3}, concurrency=10)
    watch.until(MARKED, 1, "start", [waiting])
    done = pgq.named("work").enqueue(dsn=dsn).id
    watch.until(STATE, "succeeded", done)
    stuck = [pgq.named("stuck").using(timeout=0.2, max_retries=0).enqueue().id for _ in range(10)]
    assert member.died() == [5]
    assert [(row_of(database, job)["state"], row_of(database, job)["error_type"]) for job in stuck] == [
        ("dead", "TimeoutError")
    ] * 10
    row = row_of(database, waiting)
    assert (row["state"], row["attempt"], row["crashes"]) == ("ready", 0, 0), "handed back"
    assert max(event["_count"] for event in member.events("threads.left_behind")) == 10
    assert [event["_count"] for event in member.events("worker.draining")] == [10]


@pytest.mark.parametrize("context", [False, True])
async def test_the_log_names_the_line_of_the_handler_that_blocks_and_what_it_waits_in(
    pgq: PgQueue[None], watch: Watch, context: bool
) -> None:
    told, noticed = list[Mapping[str, Any]](), threading.Event()

    def hear(event: Event) -> None:
        if event.name == "loop.blocked":
            told.append(event.fields)
            noticed.set()

    async def block(*_: Any) -> None:
        noticed.wait(PATIENCE)

    pgq.events.subscribe(hear)
    declared = pgq.task(context=True)(block) if context else pgq.task(block)
    job = declared.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    handler, waits = told[0]["where"].split(", there ")
    assert (Path(handler.partition(":")[0]).name, handler.split()[-1]) == ("test_blocked.py", "block")
    assert Path(waits.partition(":")[0]).name == "threading.py"


class Heard:
    """A heart that takes jobs back, and what the loop was told."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.given: list[tuple[int, list[str] | None]] = []
        self.events: list[str] = []

    def give_back(self, worker: int, outcomes: list[Outcome], now: float) -> list[str]:
        if self.away:
            raise ConnectionError
        return ["done"] * len(outcomes)

    def told(self, outcomes: list[Outcome], answers: list[str] | None) -> None:
        self.given.append((len(outcomes), answers))

    def hear(self, event: Event) -> None:
        self.events.append(event.name)


def stalls_of(heard: Heard, clock: Hands, *jobs: Any) -> Stalls:
    """Return what watches a loop that holds these jobs."""
    events, state, line = Events(), state_of(clock), list(jobs)
    events.subscribe(heard.hear)
    state.turned = clock()

    def take_back() -> list[Any]:
        taken, line[:] = list(line), []
        return taken

    def call(function: Any, *given: Any) -> None:
        function(*given)

    heart = cast("Heart", heard)
    return Stalls(state, heart, take_back, cast("Any", heard.told), call, threading.get_ident(), events)


def test_a_loop_that_is_seen_blocked_twice_gives_back_once_and_is_told_once() -> None:
    heard, clock = Heard(), Hands()
    stalls = stalls_of(heard, clock, job_of(1), job_of(2))
    for _ in range(6):
        stalls.look()
        clock.now += LOOK_SECONDS
    assert heard.given == [(2, ["done", "done"])]
    assert heard.events == ["loop.blocked"]


def test_a_process_that_was_stopped_as_a_whole_has_no_blocked_loop() -> None:
    heard, clock = Heard(), Hands()
    stalls = stalls_of(heard, clock, job_of(1))
    for _ in range(4):
        stalls.look()
        clock.now += 60.0
    assert (heard.given, heard.events) == ([], [])


def test_what_could_not_be_given_back_is_left_to_the_loop() -> None:
    heard, clock = Heard(away=True), Hands()
    stalls = stalls_of(heard, clock, job_of(1))
    clock.now += LOOK_SECONDS
    stalls.look()
    clock.now += LOOK_SECONDS
    stalls.look()
    clock.now += LOOK_SECONDS
    with pytest.raises(ConnectionError):
        stalls.look()
    assert heard.given == [(1, None)]
