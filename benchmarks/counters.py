"""The exact figures that tests/counters asserts: WAL of each step by payload, buffers of a claim by what else is stored."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from benchmarks.common import options, report, run_loop, say
from pgqueue import EmbeddedServer
from tests.counters.buffers import Claims, add_finished, add_ready, add_scheduled, lanes
from tests.counters.wal import BATCH, PAYLOADS, measuring, quiet_server


async def wal(server: EmbeddedServer) -> dict[str, str]:
    """Return WAL bytes a job for each payload, with the steps' shares."""
    told = {}
    async with measuring(server) as measure:
        for name, size in PAYLOADS.items():
            costs = await measure.batch(size)
            split = ", ".join(f"{step} {cost.wal / BATCH:.0f}" for step, cost in costs.items())
            told[f"WAL, B a job, payload {name}"] = f"{sum(c.wal for c in costs.values()) / BATCH:.0f} ({split})"
            say(f"payload {name}: done")
    return told


def buffers(server: EmbeddedServer, jobs: int) -> dict[str, str]:
    """Return the shared buffers that a claim of 100 touches, as the tables grow."""
    told = {}
    steps: dict[str, Callable[[psycopg.Connection[TupleRow]], None]] = {
        "100 ready": lambda connection: add_ready(connection, 100),
        f"+ {jobs:,} ready": lambda connection: add_ready(connection, jobs),
        f"+ {jobs:,} scheduled": lambda connection: add_scheduled(connection, jobs),
        f"+ {jobs:,} finished": lambda connection: add_finished(connection, jobs),
    }
    with lanes(server, "buffers") as connection:
        for name, add in steps.items():
            add(connection)
            fetched = Claims(connection).fetched()
            parts = ", ".join(f"{table} {n}" for table, n in sorted(fetched.items()))
            told[f"buffers of a claim, {name}"] = f"{sum(fetched.values())} ({parts})"
            say(f"{name}: done")
    return told


def figures(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    with quiet_server(chosen.postgres) as server:
        return {**run_loop(wal(server)), **buffers(server, chosen.jobs)}


def main() -> None:
    """Print the figures."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    chosen = parser.parse_args()
    report(chosen, figures(chosen))


if __name__ == "__main__":
    main()
