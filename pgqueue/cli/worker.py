"""``pgqueue worker``: run jobs until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from pgqueue.cli.application import load
from pgqueue.telemetry.logs import log_successes, log_to


@click.command()
@click.argument("app", metavar="APP")
@click.option("--queue", "-q", "queues", metavar="NAME[:WEIGHT]", multiple=True, help="Serve this queue; repeatable.")
@click.option("--concurrency", "-c", default=100, show_default=True, help="Jobs that run at the same time.")
@click.option("--stop-timeout", default="30s", show_default=True, help="How long running jobs may go on at a stop.")
@click.option("--dsn", metavar="URL", help="The database, where the application names none.")
@click.option("--schema", metavar="NAME", help="The schema, where the application names none.")
@click.option("--log-jobs", is_flag=True, help="Log jobs that succeed, too.")
@click.option("--json", "as_json", is_flag=True, help="Log lines as JSON.")
def worker(
    *,
    app: str,
    queues: Sequence[str],
    concurrency: int,
    stop_timeout: str,
    dsn: str | None,
    schema: str | None,
    log_jobs: bool,
    as_json: bool,
) -> None:
    """Run jobs of the PgQueue in APP (module or module:name) until TERM or INT.

    The first signal stops claims and lets running jobs end; a second one cancels them. Cancelled jobs run again, at no
    cost to their attempts.
    """
    for name, value in (("PGQUEUE_DSN", dsn), ("PGQUEUE_SCHEMA", schema)):
        if value is not None:
            os.environ[name] = value
    log_to(sys.stderr, as_json=as_json)
    pgq = load(app)
    if log_jobs:
        log_successes(pgq.events, as_json=as_json)
    weights = dict(_weight(queue) for queue in queues) or None

    async def run() -> int:
        running = pgq.worker(weights=weights, concurrency=concurrency, stop_timeout=stop_timeout)
        code = await running.run()
        if running.slots.running or running.slots.threads.zombies:
            _leave(code)  # their jobs were handed back; Python would wait for them
        return code

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        sys.exit(runner.run(run()))


def _leave(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _weight(queue: str) -> tuple[str, int]:
    """Read NAME or NAME:WEIGHT; a name may hold colons itself."""
    name, colon, weight = queue.rpartition(":")
    return (name, int(weight)) if colon and weight.isascii() and weight.isdigit() else (queue, 1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: it halves the cost of an event."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
