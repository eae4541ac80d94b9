"""A web application under test: its server and worker are processes, and requests are real ones."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from tests.support import ROOT, Watch

PROJECT = ROOT / "examples" / "django_shop"
PATIENCE = 30.0
_ADDRESS = re.compile(r"http://(127\.0\.0\.1:\d+)")


class Answer(NamedTuple):
    """What a server answered; the body is None when it is no JSON, the process unless it is told."""

    status: int
    body: Any
    process: str | None


class Process:
    """A program that runs beside the test; what it prints is kept."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._addresses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            found = _ADDRESS.search(line)
            if found is not None:
                self._addresses.put(found[1])
        self._addresses.put(None)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return "".join(self._lines)

    def address(self) -> str:
        """Wait until it says where it serves."""
        found = self._addresses.get(timeout=PATIENCE)
        assert found is not None, self.output
        return found

    def terminate(self) -> None:
        """Tell it to end."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended, and kill it when that takes too long."""
        try:
            self._process.wait(timeout=10)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()


class Site:
    """A shop with a database of its own.

    Args:
        watch: Waits in that database.
        servers: By name; each is asked for its address at its first request.
    """

    def __init__(self, dsn: str, watch: Watch, servers: Mapping[str, Process]) -> None:
        self.dsn = dsn
        self.watch = watch
        self._servers = servers
        self._addresses: dict[str, str] = {}

    def post(self, server: str, path: str, **draft: str) -> Answer:
        """Post an order and return the answer."""
        if server not in self._addresses:
            self._addresses[server] = self._servers[server].address()
        return post(self._addresses[server], path, {"card": "4242", **draft})

    def post_all(self, server: str, path: str, references: Sequence[str]) -> list[Answer]:
        """Post orders at the same time; while they are written nobody else can, until as many wait as can."""
        with ThreadPoolExecutor(len(references)) as pool, psycopg.connect(named(self.dsn)) as keeper:
            keeper.execute("lock table shop_order in exclusive mode")
            answers = [pool.submit(self.post, server, path, reference=reference) for reference in references]
            self.watch.until("select count(*) >= 10 from pg_stat_activity where wait_event_type = 'Lock'")
            keeper.commit()
            return [answer.result(PATIENCE) for answer in answers]

    def ask(self, question: str, *parameters: Any) -> Any:
        """Return the first value of a query's first row."""
        return ask(self.dsn, question, *parameters)

    def counts(self) -> tuple[int, int]:
        """Return how many orders and jobs there are."""
        return self.ask("select count(*) from shop_order"), self.ask("select count(*) from pgqueue.all_jobs")

    def enqueues(self) -> int:
        """Count the enqueues so far, those that were rolled back too: what a sequence gave is not taken back."""
        return int(self.ask("select coalesce(pg_sequence_last_value('pgqueue.ready_seq'), 0)"))


def post(address: str, path: str, draft: Mapping[str, str]) -> Answer:
    """Post JSON to a server and return the answer."""
    connection = HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("POST", path, json.dumps(draft), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return Answer(response.status, json.loads(text) if is_json else None, response.getheader("X-Process"))
    finally:
        connection.close()


def named(dsn: str) -> str:
    """Return the URL for connections of the test itself, so that they are not taken for an application's."""
    return make_conninfo(dsn, application_name="test")


def ask(dsn: str, question: str, *parameters: Any) -> Any:
    """Return the first value of a query's first row."""
    with psycopg.connect(named(dsn)) as connection:
        row = connection.execute(question, parameters).fetchone()
    return None if row is None else row[0]


@contextmanager
def running(
    programs: Mapping[str, Sequence[str]], dsn: str, folder: Path = ROOT, **more: str
) -> Iterator[dict[str, Process]]:
    """Start programs by name, which is also the name of their connections; end them with the block."""
    started: dict[str, Process] = {}
    try:
        for name, arguments in programs.items():
            env = {"DATABASE_URL": dsn, "PGAPPNAME": name, **more}
            started[name] = Process(arguments, env, folder)
        yield started
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait()


def run(arguments: Sequence[str], dsn: str, folder: Path = ROOT, **more: str) -> str:
    """Run a program to its end and return what it printed."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": dsn, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr
