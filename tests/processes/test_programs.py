"""Children of real programs: whose worker is killed, who are interrupted, and whose tasks are in the main file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support import ROOT, Watch
from tests.worker.harness import STATE, row_of

PROGRAM = Path(__file__).with_name("program.py")
PATIENCE = 20
MARK = "PGQUEUE_TEST_PROGRAM"  # in the environment of a program and of all that it starts


class Program:
    """A running program with its log.

    Args:
        file: Its main file.
        dsn: Its database.
        folder: Where its log and its pipes are.
    """

    def __init__(self, file: Path, dsn: str, folder: Path) -> None:
        self.folder = folder
        with (folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(file), dsn],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, MARK: str(folder)},
                start_new_session=True,
            )

    def log(self) -> str:
        """Return what it and its children have printed."""
        return (self.folder / "log.txt").read_text()

    def kill(self) -> None:
        """Kill it, and nothing that it has started."""
        self.process.kill()
        self.process.wait()

    def guard(self) -> psutil.Process:
        """Return the process that kills its children when it is killed."""
        started = psutil.Process(self.process.pid).children()
        (guard,) = [process for process in started if process.cmdline()[:2] == ["/bin/sh", "-c"]]
        return guard

    def end(self) -> None:
        """Kill what still runs, also what outlives it by a defect: children are in sessions of their own."""
        self.kill()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder):
                    process.kill()


@pytest.fixture
def program(dsn: str, tmp_path: Path) -> Iterator[Program]:
    running = Program(PROGRAM, dsn, tmp_path)
    yield running
    running.end()


def enqueue(database: psycopg.Connection, task: str, **pipes: Path) -> int:
    """Enqueue a job whose arguments are named pipes; return its id."""
    for path in pipes.values():
        os.mkfifo(path)
    pairs = [part for name, path in pipes.items() for part in (name, str(path))]
    row = database.execute("select pgqueue.enqueue(%s, jsonb_object(%s::text[]))", (task, pairs)).fetchone()
    assert row is not None
    return int(row[0])


def numbers(path: Path) -> list[int]:
    """Wait until a handler says numbers through its pipe."""
    return [int(word) for word in path.read_text().split()]


@pytest.mark.parametrize("task", ["pause", "hold_the_gil"])
def test_children_die_with_a_worker_that_is_killed_also_in_the_middle_of_a_job(
    program: Program, database: psycopg.Connection, task: str
) -> None:
    path = program.folder / "said"
    enqueue(database, task, path=path)
    processes = [psutil.Process(number) for number in numbers(path)]
    program.kill()
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel kills no children")
def test_on_linux_even_a_child_whose_handler_holds_the_gil_dies_with_worker_and_guard(
    program: Program, database: psycopg.Connection
) -> None:
    path = program.folder / "said"
    enqueue(database, "hold_the_gil", path=path)
    processes = [psutil.Process(number) for number in numbers(path)]
    guard = program.guard()
    guard.kill()
    program.kill()
    _, alive = psutil.wait_procs([*processes, guard], timeout=PATIENCE)
    assert alive == []


def test_ctrl_c_ends_the_worker_gently_and_reaches_no_child_and_tasks_of_the_main_file_run(
    program: Program, database: psycopg.Connection, watch: Watch
) -> None:
    path, gate = program.folder / "said", program.folder / "gate"
    job = enqueue(database, "wait", path=path, gate=gate)
    (child,) = numbers(path)
    assert os.getpgid(child) != program.process.pid
    os.killpg(program.process.pid, signal.SIGINT)
    gate.write_text("")
    assert program.process.wait(PATIENCE) == 0, program.log()
    assert row_of(database, job)["state"] == "succeeded"
    assert row_of(database, job)["result"] == "program", "imported under its own name, not run as the main program"
    assert not psutil.pid_exists(child)


def test_a_program_that_works_without_a_main_part_is_told_so_and_starts_no_second_worker(
    dsn: str, database: psycopg.Connection, watch: Watch, tmp_path: Path
) -> None:
    unguarded = tmp_path / "unguarded.py"
    unguarded.write_text(PROGRAM.read_text().replace('if __name__ == "__main__":', "if True:"))
    running = Program(unguarded, dsn, tmp_path)
    try:
        job = enqueue(database, "pause", path=tmp_path / "never")
        watch.until(STATE, "scheduled", job)
        attempt = database.execute("select error from pgqueue.all_attempts where job_id = %s", (job,)).fetchone()
        assert attempt is not None
        assert "started a worker" in attempt[0]
        assert database.execute("select count(*) from pgqueue.worker").fetchone() == (1,)
    finally:
        running.end()
