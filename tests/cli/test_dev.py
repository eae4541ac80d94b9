"""``pgqueue dev``: a real process in a project's folder, real signals, and files that change."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from pgqueue import EmbeddedServer
from tests.support import ROOT, Watch

PATIENCE = 30.0
SHOP = """
import asyncio
from pgqueue import PgQueue

pgq = PgQueue()

@pgq.task(name="greet", queue="email")
async def greet(name: str) -> None:
    print("Hello,", name)

@pgq.task(name="hold")
async def hold() -> None:
    print("holding")
    await asyncio.Event().wait()
"""
GREET = "select pgqueue.enqueue('greet', jsonb_build_object('name', %s::text), queue => 'email')"
WITHOUT = "import sys; sys.modules['watchfiles'] = None; from pgqueue.cli.main import main; main(sys.argv[1:])"


class Dev:
    """The command in a folder; it has a process group of its own, as in a terminal."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], program: tuple[str, ...]) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, *program, "dev", "shop", *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._read = 0
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._receive)
        self._reader.start()

    def _receive(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, words: str) -> str:
        """Wait for a line that has these words, after the last one that was waited for; return it."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, f"it ended without {words!r}:\n{self.output}"
            self.output += line
            if words in line:
                return line

    def interrupt(self) -> tuple[int, float]:
        """Press Ctrl-C; return the exit code and the seconds until the end."""
        told = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        ended = self.process.wait(PATIENCE), time.monotonic() - told
        self._reader.join(PATIENCE)
        while line := self._lines.get_nowait():
            self.output += line
        return ended

    def close(self) -> None:
        """End it and its workers, also one that outlived it; the server's guard ends by itself."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def developing(folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "pgqueue")) -> Iterator[Dev]:
    """Run the command in a folder for the length of a block."""
    dev = Dev(folder, arguments, program)
    try:
        yield dev
    finally:
        dev.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_the_first_minute_needs_no_database_and_its_data_survive(project: Path) -> None:
    with developing(project) as dev:
        url = dev.until("export PGQUEUE_DSN=").split("'")[1]
        assert dev.until("tasks").split() == ["tasks", "default", "hold"]
        assert dev.until("email").split() == ["email", "greet"]
        dev.until("started, serves default, email")
        with psycopg.connect(url, autocommit=True) as elsewhere:
            elsewhere.execute(GREET, ["Ada"])
        assert re.search(r"^\d\d:\d\d:\d\d  done    greet \d+  (\d+|under 1) ms$", dev.until(" done "))
        children = psutil.Process(dev.process.pid).children(recursive=True)
        code, took = dev.interrupt()
        assert (code, took < 10) == (0, True)
        psutil.wait_procs(children, timeout=10)
        assert not [child for child in children if child.is_running()]
        assert "Traceback" not in dev.output
        assert "\x1b" not in dev.output
    assert (project / ".pgqueue" / ".gitignore").read_text() == "*\n"
    with developing(project) as dev:
        url = dev.until("export PGQUEUE_DSN=").split("'")[1]
        dev.until("started")
        with psycopg.connect(url) as elsewhere:
            assert elsewhere.execute("select task, state from pgqueue.all_jobs").fetchall() == [("greet", "succeeded")]
        refused = subprocess.run(
            [sys.executable, "-m", "pgqueue", "dev", "shop"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert refused.returncode == 2
        assert "Another pgqueue dev" in refused.stderr
        assert dev.interrupt()[0] == 0


def test_a_change_is_loaded_a_broken_one_is_shown_and_a_job_that_runs_pays_no_attempt(
    project: Path, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    with developing(project, "--dsn", dsn) as dev:
        dev.until("started")
        database.execute("select pgqueue.enqueue('hold')")
        dev.until("holding")
        (project / "shop.py").write_text(SHOP + "\ndef (:\n")
        dev.until("shop.py changed")
        dev.until("def (:")
        dev.until("SyntaxError")
        dev.until("waiting for a change")
        assert "pgqueue/cli" not in dev.output
        database.execute(GREET, ["Ada"])
        (project / "shop.py").write_text(SHOP.replace("Hello", "Bonjour").replace('"holding"', '"holding again"'))
        dev.until("shop.py changed")
        dev.until("started")
        watch.until("select state = 'succeeded' from pgqueue.all_jobs where task = 'greet'")
        watch.until("select state = 'running' and run > 1 from pgqueue.all_jobs where task = 'hold'")
        code, took = dev.interrupt()
        assert (code, took < 5) == (0, True)
        assert "Bonjour, Ada" in dev.output
        assert "holding again" in dev.output
    assert database.execute("select state, attempt from pgqueue.all_jobs where task = 'hold'").fetchall() == [
        ("ready", 0)
    ]
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)


def test_without_watchfiles_it_works_without_reload_and_says_how_to_get_it(project: Path, dsn: str) -> None:
    with developing(project, "--dsn", dsn, program=("-c", WITHOUT)) as dev:
        dev.until("pip install 'pgqueue[reload]'")
        dev.until("started")
        assert dev.interrupt()[0] == 0
    (project / "shop.py").write_text("1 / 0")
    with developing(project, "--dsn", dsn, program=("-c", WITHOUT)) as dev:
        dev.until("ZeroDivisionError")
        assert dev.process.wait(PATIENCE) == 2


def test_a_worker_that_dies_is_started_again_and_one_whose_command_is_killed_ends(
    project: Path, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    with developing(project, "--dsn", dsn) as dev:
        dev.until("started")
        (pid,) = database.execute("select pid from pgqueue.worker").fetchone() or (0,)
        os.kill(pid, signal.SIGKILL)
        dev.until("The worker died by signal 9; it starts again")
        dev.until("started")
        dev.process.kill()
        watch.until("select count(*) = 0 from pgqueue.worker where pid <> %s", pid)


def test_an_application_with_a_database_of_its_own_is_migrated_only_when_that_is_said(
    project: Path, server: EmbeddedServer, dsn: str, database: psycopg.Connection
) -> None:
    (project / "shop.py").write_text(SHOP.replace("PgQueue()", f"PgQueue({dsn!r})"))
    database.execute("drop schema pgqueue cascade")
    with developing(project, "--dsn", server.dsn) as dev:
        dev.until("names a database of its own")
        dev.until("--own-database")
        dev.until("waiting for a change")
        assert dev.interrupt()[0] == 0
    assert database.execute("select to_regnamespace('pgqueue')").fetchone() == (None,)
    with developing(project, "--own-database") as dev:
        dev.until("the one that the application names")
        dev.until("started")
        assert dev.interrupt()[0] == 0
    assert database.execute("select to_regnamespace('pgqueue') is not null").fetchone() == (True,)
