"""Completion: how often work is repeated whose worker is killed around its commit, before the record of its outcome.

Each job's handler commits one row; the first time, its worker is killed (SIGKILL): in turn right after that commit, and at
a random moment of the 5 ms from the start of the commit, or of the statement before it. Once with ``ctx.complete``, once
without. The worker that follows takes the dead one off the list, so that no lease has to run out. With ``ctx.complete``
nothing may be repeated or missing; else this ends with 1.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import psycopg

from benchmarks.common import options, report, say, server
from pgqueue import EmbeddedServer, JobContext, PgQueue, RetryPolicy

KILLS = 200
LOOK = 0.05
WINDOW_SECONDS = 0.005
WAYS = ("after", "from the commit", "from the statement before")  # when a worker is killed
TABLES = (
    "create table public.effects (job_id bigint)",
    "create table public.killed (job_id bigint primary key, committed bool)",  # whether it had been, at the next run
)
MARK = """
insert into public.killed as k (job_id) values (%(job)s)
on conflict (job_id) do update set committed = exists (select from public.effects e where e.job_id = k.job_id)
returning committed is null
"""
INSERT = "insert into public.effects values (%s)"
COUNTS = """
select count(*), count(distinct e.job_id), (select count(*) from public.killed where not committed) from public.effects e
"""


def application(dsn: str, *, completes: bool) -> PgQueue[None]:
    """Return an application whose task dies in its first run, around its commit."""
    pgq: PgQueue[None] = PgQueue(dsn)

    @pgq.task(name="effect", context=True, retry=RetryPolicy(delays=[0.05]))
    async def effect(ctx: JobContext[None], way: str) -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            is_first = await (await connection.execute(MARK, {"job": int(ctx.id)})).fetchone() == (True,)
            async with connection.transaction():
                await connection.execute(INSERT, (int(ctx.id),))
                die_soon(now=is_first and way == "from the statement before")
                if completes:
                    await ctx.acomplete(connection)
                die_soon(now=is_first and way == "from the commit")
            if is_first and way != "after":
                await asyncio.Event().wait()
        if is_first:
            die()

    return pgq


def die_soon(*, now: bool) -> None:
    """Die at a random moment of the next milliseconds, if it is time for that."""
    if now:
        threading.Timer(random.uniform(0, WINDOW_SECONDS), die).start()


def die() -> None:
    """Die as by a crash."""
    os.kill(os.getpid(), signal.SIGKILL)


async def work(dsn: str, *, completes: bool) -> int:
    """Run a worker that sweeps often, one job at a time."""
    worker = application(dsn, completes=completes).worker(concurrency=1)
    worker.state.timing = replace(worker.state.timing, sweep=0.1)
    return await worker.run()


def start(dsn: str, dead: int, *, completes: bool) -> int:
    """Fork a worker that takes the place of a dead one; return its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("delete from pgqueue.worker where pid = %s", (dead,))
            asyncio.run(work(dsn, completes=completes))
        finally:
            os._exit(1)
    return pid


def run_to_the_end(dsn: str, jobs: int, *, completes: bool) -> int:
    """Start worker after worker until all jobs have ended; return how many were killed."""
    kills, pid = 0, start(dsn, 0, completes=completes)
    with psycopg.connect(dsn, autocommit=True) as connection:
        while _ended(connection) < jobs:
            if os.waitpid(pid, os.WNOHANG)[0]:
                kills, pid = kills + 1, start(dsn, pid, completes=completes)
            time.sleep(LOOK)
    if not os.waitpid(pid, os.WNOHANG)[0]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return kills
    return kills + 1  # the last job was in history when it killed its worker


def measure(running: EmbeddedServer, jobs: int, *, completes: bool) -> dict[str, Any]:
    """Return kills, and how often work was committed more than once."""
    name = "with_complete" if completes else "without"
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name} template template1")
    dsn = running.dsn_of(name)
    pgq = application(dsn, completes=completes)
    pgq.migrate()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(table)
        pgq.enqueue_many(pgq.named("effect").job(way=WAYS[number % len(WAYS)]) for number in range(jobs))
        pgq.close()
        kills = run_to_the_end(dsn, jobs, completes=completes)
        row = connection.execute(COUNTS).fetchone()
    assert row is not None
    return {"kills": kills, "before the commit": row[2], "jobs": row[1], "repeated": row[0] - row[1]}


def _ended(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from pgqueue.job_history where state = 'succeeded'").fetchone()
    return 0 if row is None else int(row[0])


def main() -> None:
    """Kill, and count."""
    parser = options(__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="jobs, each of which kills a worker once")
    chosen = parser.parse_args()
    results: dict[str, Any] = {}
    with server(chosen.postgres) as running:
        for name, completes in (("with ctx.complete", True), ("without", False)):
            say(f"{name}: {chosen.kills} kills")
            results[name] = measure(running, chosen.kills, completes=completes)
    report(chosen, results)
    complete = results["with ctx.complete"]
    sys.exit(complete["repeated"] != 0 or complete["jobs"] != chosen.kills)


if __name__ == "__main__":
    main()
