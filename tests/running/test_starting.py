"""Starts that are cut short, by a stop, a cancellation or an error: they leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from importlib import import_module
from subprocess import Popen

import psycopg
import pytest

from pgqueue import PgQueue
from pgqueue.worker.supervisor import Worker
from tests.running.programs import Programs
from tests.support import Watch
from tests.worker.harness import PATIENCE, Heard
from tests.worker.processes import closed_gate

IMPORTING = "select true from pg_locks where locktype = 'advisory' and not granted"
REGISTERING = "select true from pg_stat_activity where wait_event_type = 'Lock' and query like '%%worker_log%%'"
WORKERS = "select count(*) from pgqueue.worker"
CONNECTED = (
    "select not exists (select from pg_stat_activity where datname = current_database() and application_name = %s)"
)


@pytest.fixture
def slow(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgQueue[None]]:
    """An application whose child processes wait at the gate when they import it."""
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    pgq: PgQueue[None] = import_module("tests.running.slow").pgq
    monkeypatch.setenv("RUNNING_SLOW", str(os.getpid()))
    with closed_gate(dsn), pgq.working_on(dsn):
        yield pgq


async def assert_gone(worker: Worker, database: psycopg.Connection, watch: Watch) -> None:
    assert database.execute(WORKERS).fetchone() == (0,)
    assert "pgqueue heartbeat" not in [thread.name for thread in threading.enumerate()]
    assert not worker._parts.children._all
    for purpose in ("heartbeat", "move", "finish"):
        await watch.auntil(CONNECTED, f"pgqueue {purpose}")


async def test_a_stop_while_the_first_child_imports_leaves_nothing_behind(
    slow: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    worker = slow.worker()
    running = asyncio.create_task(worker.run())
    await watch.auntil(IMPORTING)
    assert database.execute(WORKERS).fetchone() == (1,)
    worker.request_stop()
    async with asyncio.timeout(PATIENCE):
        assert await running == 0
    await assert_gone(worker, database, watch)
    assert await worker.stop() == 0


@pytest.mark.parametrize("how", ["run", "with"])
async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    slow: PgQueue[None], database: psycopg.Connection, watch: Watch, how: str
) -> None:
    worker = slow.worker()
    starting = asyncio.create_task(worker.run() if how == "run" else worker.__aenter__())
    await watch.auntil(IMPORTING)
    starting.cancel()
    await asyncio.wait({starting}, timeout=PATIENCE)
    assert starting.cancelled()
    await assert_gone(worker, database, watch)


async def test_an_error_during_the_start_leaves_nothing_behind(
    slow: PgQueue[None], database: psycopg.Connection, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = slow.worker()

    async def fail(_: object) -> None:
        raise OSError

    monkeypatch.setattr(worker._parts.children, "start", fail)
    with pytest.raises(OSError):  # noqa: PT011 - whatever it is
        async with worker:
            pass
    await assert_gone(worker, database, watch)


async def test_a_stop_while_the_worker_registers_leaves_no_row(
    dsn: str, pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    worker = pgq.worker()
    with psycopg.connect(dsn) as holder:
        holder.execute("lock table pgqueue.worker in exclusive mode")
        running = asyncio.create_task(worker.run())
        await watch.auntil(REGISTERING)
        worker.request_stop()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        assert await running == 0
    await assert_gone(worker, database, watch)


def ended_by(program: Popen[str]) -> int:
    program.send_signal(signal.SIGTERM)
    return program.wait(timeout=PATIENCE)


def test_term_to_the_command_while_it_starts_leaves_no_row(
    dsn: str, database: psycopg.Connection, watch: Watch, programs: Programs
) -> None:
    with closed_gate(dsn):
        program = programs.start(application="tests.running.slow", environment={"RUNNING_SLOW": ""})
        watch.until(IMPORTING)
        assert database.execute(WORKERS).fetchone() == (1,)
        assert ended_by(program) == 0
    assert database.execute(WORKERS).fetchone() == (0,)


async def test_a_run_that_is_cancelled_stops_first_and_leaves_nothing_behind(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None: ...

    heard = Heard(pgq.events)
    running = asyncio.create_task(pgq.worker(concurrency=1).run())
    await heard.wait("worker.ready")
    await asyncio.sleep(0.05)  # the start is over, and it waits for a stop
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert heard.named("worker.stopped")
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
