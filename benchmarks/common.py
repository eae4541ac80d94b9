"""What the benchmarks share: a server, databases with jobs in them, measured processes, and how results are told."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from pgqueue import EmbeddedServer, embedded
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
TASK = "benchmark"
PAYLOAD = {"user_id": 123, "email": "john.doe@example.com"}
CHUNK = 1000

_PRELOAD = """
select pgqueue.enqueue_jobs(
  array_fill('default'::text, array[%s]), array_fill(%s::text, array[%s]), array_fill(%s::jsonb, array[%s]),
  null, null, null, null, null, null)
from generate_series(1, %s)
"""


def say(text: str) -> None:
    """Tell how far it is; results go to standard output, this does not."""
    print(text, file=sys.stderr, flush=True)


def options(about: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    parser.add_argument("--postgres", type=int, default=18, help="major version of the embedded server")
    return parser


def report(chosen: argparse.Namespace, results: dict[str, Any]) -> None:
    """Print the results, and what they were measured on."""
    results = {"machine": machine(chosen.postgres), **results}
    if chosen.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:36} {value}")


def machine(postgres: int) -> str:
    """Return a line about the machine and the versions."""
    packages = " ".join(f"{name} {_version(name)}" for name in ("psycopg", "uvloop"))
    return (
        f"{_processor()}, {os.cpu_count()} cores; PostgreSQL {postgres}, Python {platform.python_version()}, {packages}"
    )


@contextmanager
def server(postgres: int) -> Iterator[EmbeddedServer]:
    """Run a server as a user would set it up, except that it checkpoints seldom."""
    with embedded(version=postgres, settings={"max_wal_size": "4GB", "checkpoint_timeout": "1h"}) as running:
        migrate(Settings(running.dsn, "pgqueue"))
        yield running


@contextmanager
def jobs_in(running: EmbeddedServer, name: str, jobs: int) -> Iterator[str]:
    """Make a database with so many ready no-op jobs; yield its DSN."""
    with psycopg.connect(running.dsn, autocommit=True) as owner:
        owner.execute(f"create database {name}")
        dsn = running.dsn_of(name)
        migrate(Settings(dsn, "pgqueue"))
        with psycopg.connect(dsn, autocommit=True) as connection:
            payload = json.dumps(PAYLOAD)
            connection.execute(_PRELOAD, (CHUNK, TASK, CHUNK, payload, CHUNK, jobs // CHUNK))
            connection.execute("vacuum analyze")
        owner.execute("checkpoint")
        yield dsn
        owner.execute(f"drop database {name} with (force)")


def measured(module: str, arguments: Sequence[object]) -> dict[str, Any]:
    """Run a benchmark's own process to its end; return the JSON object that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, text=True)
    return dict(json.loads(done.stdout))


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, as ``pgqueue worker`` does."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def wal_position(connection: psycopg.Connection[Any]) -> int:
    """Return how many bytes of WAL the server has ever written."""
    row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
