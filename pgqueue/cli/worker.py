"""``pgqueue worker``: run jobs until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from pgqueue.cli.application import load
from pgqueue.cli.outside import Outside
from pgqueue.cli.processes import Processes
from pgqueue.model.errors import InvalidOption
from pgqueue.model.options import check_whole_number
from pgqueue.telemetry.events import Events
from pgqueue.telemetry.logs import log, log_successes, log_to
from pgqueue.worker.options import timing_of
from pgqueue.worker.supervisor import Worker
from pgqueue.worker.tether import Tether

MOST_PROCESSES = 1000


@click.command()
@click.argument("app", metavar="APP")
@click.option("--queue", "-q", "queues", metavar="NAME[:WEIGHT]", multiple=True, help="Serve this queue; repeatable.")
@click.option("--strict", is_flag=True, help="Serve a queue only while those named before it are empty.")
@click.option("--limit", "limits", metavar="NAME:N", multiple=True, help="Run at most N jobs of a queue; repeatable.")
@click.option("--concurrency", "-c", default=100, show_default=True, help="Jobs that run at the same time.")
@click.option("--children", type=int, help="Child processes for tasks with executor=process; one a core.")
@click.option("--child-jobs", default=1000, show_default=True, help="Replace a child process after so many jobs.")
@click.option("--child-megabytes", type=int, help="Replace a child process that holds more after a job.")
@click.option("--processes", type=int, help="Run so many workers, and start again those that die.")
@click.option("--drain", is_flag=True, help="Stop when nothing is ready or due.")
@click.option("--max-jobs", type=int, help="Stop after so many jobs.")
@click.option("--stop-timeout", default="30s", show_default=True, help="How long running jobs may go on at a stop.")
@click.option("--health", metavar="HOST:PORT", help="Answer /live, /ready and / over HTTP.")
@click.option("--ready-file", metavar="PATH", help="A file that exists while jobs are taken.")
@click.option("--dsn", metavar="URL", help="The database, where the application names none.")
@click.option("--schema", metavar="NAME", help="The schema, where the application names none.")
@click.option("--log-jobs", is_flag=True, help="Log jobs that succeed, too.")
@click.option("--json", "as_json", is_flag=True, help="Log lines as JSON.")
def worker(
    *,
    app: str,
    queues: Sequence[str],
    strict: bool,
    limits: Sequence[str],
    processes: int | None,
    health: str | None,
    ready_file: str | None,
    dsn: str | None,
    schema: str | None,
    log_jobs: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run jobs of the PgQueue in APP (module or module:name) until TERM or INT.

    The first signal stops claims and lets running jobs end; a second one cancels them. Cancelled jobs run again, at no
    cost to their attempts. TSTP takes no more jobs, CONT takes them again.
    """
    for name, value in (("PGQUEUE_DSN", dsn), ("PGQUEUE_SCHEMA", schema)):
        if value is not None:
            os.environ[name] = value
    log_to(sys.stderr, as_json=as_json)
    tether = Tether.found_in(os.environ)
    if processes is not None and tether is None:
        sys.exit(_run_processes(processes, health, ready_file, options))
    pgq = load(app)
    if log_jobs:
        log_successes(pgq.events, as_json=as_json)
    served = {"strict": strict, "limits": dict(map(_limit, limits)), **_served(queues, strict=strict)}

    async def run() -> int:
        one = pgq.worker(**served, **options)
        if tether is not None:
            return await _run_tethered(one, tether)
        with Outside(one.outlook, health=health, ready_file=ready_file, events=pgq.events) as outside:
            return await _run_watched(one, outside)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        sys.exit(runner.run(run()))


def _run_processes(count: int, health: str | None, ready_file: str | None, options: dict[str, Any]) -> int:
    """Be the parent of several workers."""
    check_whole_number(count, "processes", 1, MOST_PROCESSES, "Leave it out for a worker without a parent.")
    events = Events()
    events.subscribe(log)

    async def run() -> int:
        timing = timing_of(options["stop_timeout"])
        parent = Processes(count, timing=timing, until_done=options["drain"], events=events)
        with Outside(parent, health=health, ready_file=ready_file, events=events) as outside:
            return await parent.run(outside)

    return asyncio.run(run())


async def _run_tethered(one: Worker, tether: Tether) -> int:
    """Run a worker that the parent watches, who is watched in its place."""
    one.follow_with(tether.notifier, tether.every)
    tether.obey({"stop": one.request_stop, "hurry": one.hurry, "quiet": one.quiet, "resume": one.resume})
    return await _run(one)


async def _run_watched(one: Worker, outside: Outside) -> int:
    for follower in outside.followers:
        one.follow_with(follower, outside.every)
    return await _run(one)


async def _run(one: Worker) -> int:
    code = await one.run()
    if one.slots.running or one.slots.threads.zombies:
        leave(code)  # their jobs were handed back; Python would wait for them
    return code


def leave(code: int) -> NoReturn:
    """End this process at once, whatever threads it has, but with what it has said."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _served(queues: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """Return what to serve: in strict order, by weight, or all that the tasks name."""
    weights = dict(map(_weight, queues))
    if not strict:
        return {"weights": weights or None}
    if not weights:
        raise InvalidOption("--strict needs the queues in their order.", "Name them: -q high -q low.")
    if any(weight != 1 for weight in weights.values()):
        raise InvalidOption(
            "--strict and weights exclude each other.", "Name the queues in their order: -q high -q low."
        )
    return {"queues": list(weights) or None}


def _weight(queue: str) -> tuple[str, int]:
    """Read NAME or NAME:WEIGHT; a name may hold colons itself."""
    if "," in queue:
        raise InvalidOption(f"-q {queue} is one name with a comma in it.", "Repeat the option: -q high:3 -q low.")
    name, colon, weight = queue.rpartition(":")
    return (name, int(weight)) if colon and weight.isascii() and weight.isdigit() else (queue, 1)


def _limit(text: str) -> tuple[str, int]:
    name, _, most = text.rpartition(":")
    if not (name and most.isascii() and most.isdigit()):
        raise InvalidOption(f"--limit {text} is not NAME:N.", "Write --limit images:4.")
    return name, int(most)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: it halves the cost of an event."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
