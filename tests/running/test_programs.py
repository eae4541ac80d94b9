"""The command as a service manager, a terminal and an orchestrator see it: real processes, signals, sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from tests.running.programs import Programs, read_until
from tests.support import Watch, run_program
from tests.worker.crew import GATE
from tests.worker.harness import STATE, runs_of
from tests.worker.processes import closed_gate

STARTED = "select true from public.starts where job_id = %s"
STOPPING = "select count(*) = %s from public.stops"
SERVING = r"answered at (http://\S+)/"


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(20)

    def until(self, wanted: str) -> None:
        """Wait until it is told this."""
        while wanted not in self._socket.recv(65536).decode().split("\n"):
            pass

    def hears_nothing_for(self, seconds: float) -> bool:
        """Say whether nothing comes for so long, after what has come already."""
        self._socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(65536)
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(20)
        return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


@contextmanager
def open_gate(dsn: str) -> Iterator[psycopg.Connection]:
    """Let jobs pass; take ``pg_advisory_lock`` to close it."""
    with closed_gate(dsn) as keeper:
        keeper.execute("select pg_advisory_unlock_all()")
        yield keeper


def ask(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def enqueue(database: psycopg.Connection, task: str, args: str = "{}") -> int:
    [(job,)] = database.execute("select pgqueue.enqueue(%s, %s::jsonb)", (task, args)).fetchall()
    return int(job)


def test_systemd_a_health_check_and_a_file_see_a_worker_live_block_rest_and_stop(
    dsn: str, watch: Watch, database: psycopg.Connection, programs: Programs, manager: Manager, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    options = ("-c", "1", "--health", "127.0.0.1:0", "--ready-file", str(ready))
    with closed_gate(dsn) as keeper:
        worker = programs.start(
            *options, environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": ""}
        )
        url = read_until(worker, SERVING)[1]
        manager.until("READY=1")
        assert ready.exists()
        assert ask(f"{url}/ready")[0] == ask(f"{url}/live")[0] == 200
        told = ask(f"{url}/")[1]
        assert (told["state"], told["free"], told["worker"].split(":")[1]) == ("ready", 1, str(worker.pid))

        stalling = enqueue(database, "stall")
        watch.until(STARTED, stalling)
        assert ask(f"{url}/")[1]["running"] == 1, "it is answered while the loop is blocked"
        assert manager.hears_nothing_for(0.8), "a blocked loop misses a watchdog of 0.4 s"
        keeper.execute("select pg_advisory_unlock_all()")
        manager.until("WATCHDOG=1")
        watch.until(STATE, "succeeded", stalling)
        keeper.execute("select pg_advisory_lock(%s)", (GATE,))

        worker.send_signal(signal.SIGTSTP)
        read_until(worker, "Quiet")
        manager.until("STATUS=quiet: 0 running, 0 buffered, 1 slots free")
        assert (ask(f"{url}/ready")[0], ask(f"{url}/live")[0], ready.exists()) == (503, 200, False)
        worker.send_signal(signal.SIGCONT)
        read_until(worker, "taken again")
        holding = enqueue(database, "hold")
        watch.until(STARTED, holding)

        worker.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert (ask(f"{url}/ready")[0], ready.exists()) == (503, False)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(timeout=10) == 3, "the second signal ended the soft phase of 30 s"
    assert runs_of(database, holding) == [(1, 0, "release")]


def test_a_third_signal_ends_a_process_whose_loop_is_blocked(
    dsn: str, watch: Watch, database: psycopg.Connection, programs: Programs
) -> None:
    with open_gate(dsn):
        worker = programs.start("-c", "1")
        watch.until(STARTED, enqueue(database, "block", '{"seconds": 60}'))
        sent = 0
        while worker.poll() is None and sent < 200:
            worker.send_signal(signal.SIGTERM)
            sent += 1
            with suppress(TimeoutExpired):
                worker.wait(timeout=0.02)
        assert worker.wait(timeout=10) == -signal.SIGTERM
        assert sent >= 3
    database.execute("delete from pgqueue.worker")  # its jobs are rescued by whoever sweeps; here nobody does


def test_a_parent_loads_no_application_replaces_the_dead_and_its_children_stop_when_it_is_killed(
    dsn: str, watch: Watch, database: psycopg.Connection, programs: Programs, manager: Manager
) -> None:
    with open_gate(dsn):
        parent = programs.start(
            "--processes", "2", "--health", "127.0.0.1:0", environment={"NOTIFY_SOCKET": manager.path}
        )
        url = read_until(parent, SERVING)[1]
        assert ask(f"{url}/ready")[0] == 503
        manager.until("READY=1")
        assert ask(f"{url}/ready")[0] == ask(f"{url}/live")[0] == 200
        first = [member["pid"] for member in ask(f"{url}/")[1]["processes"]]
        assert sorted(programs.pids("import")) == sorted(first)
        assert parent.pid not in first

        os.kill(first[0], signal.SIGKILL)
        read_until(parent, rf"Worker {first[0]} ended by signal 9")
        while ask(f"{url}/ready")[0] != 200 or ask(f"{url}/")[1]["processes"][0]["pid"] == first[0]:
            manager.until("WATCHDOG=1")  # told each second, unlike what is as it was a second ago
        second = [member["pid"] for member in ask(f"{url}/")[1]["processes"]]
        assert second[1] == first[1]
        assert second[0] not in first

        os.kill(parent.pid, signal.SIGKILL)
        watch.until(STOPPING, 2)
        for pid in second:
            watch.until("select not exists (select from pgqueue.worker where pid = %s)", pid)
    database.execute("delete from pgqueue.worker")


def test_a_signal_to_parent_and_child_alike_counts_once(
    dsn: str, watch: Watch, database: psycopg.Connection, programs: Programs, manager: Manager
) -> None:
    with closed_gate(dsn) as keeper:
        parent = programs.start("--processes", "1", "-c", "1", environment={"NOTIFY_SOCKET": manager.path})
        job = enqueue(database, "hold")
        watch.until(STARTED, job)
        [child] = programs.pids("import")
        os.kill(child, signal.SIGTERM)  # as systemd does by default, beside the parent's
        watch.until(STOPPING, 1)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
        manager.until("STOPPING=1")
        keeper.execute("select pg_advisory_unlock_all()")
        assert parent.wait(timeout=20) == 0, "the job was given its time"
    assert runs_of(database, job) == [(1, 1, "succeeded")]


def test_a_wrong_application_ends_all_processes_with_two() -> None:
    ended = run_program(["worker", "tests.no_such_module", "--processes", "1"], env={"PGQUEUE_DSN": "postgresql:///"})
    assert ended.returncode == 2
    assert "There is no module" in ended.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--health", "nowhere"], "not an address"),
        (["--health", "127.0.0.1:99999"], "not an address"),
        (["--ready-file", "/no/such/folder/ready"], "cannot be made"),
        (["--processes", "0"], "not a whole number from 1"),
        (["--max-jobs", "0"], "not a whole number from 1"),
        (["--strict", "-q", "a:2"], "exclude each other"),
        (["--limit", "a"], "is not NAME:N"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: list[str], problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pgqueue.cli.main import main

    monkeypatch.setenv("PGQUEUE_DSN", "postgresql:///")
    with pytest.raises(SystemExit) as ended:
        main(["worker", "tests.cli.application", *options])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
