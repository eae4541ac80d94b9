"""The worker of ``pgqueue dev``: a process of its own, so that each change is loaded from scratch."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import click

from pgqueue.app import PgQueue
from pgqueue.cli.application import load
from pgqueue.cli.output import print_error
from pgqueue.cli.worker import leave
from pgqueue.model.errors import ConfigurationError, PgQueueError
from pgqueue.telemetry.console import shortened, wants_colour
from pgqueue.telemetry.logs import log_successes, log_to

NOT_LOADED = 70  # this code of our own says that a change may help
STOP_TIMEOUT = "1s"
INTERRUPTED = 130


class Asked(NamedTuple):
    """What the worker is told.

    Attributes:
        app: Module, or module:name.
        dsn: Where the jobs have to be; None: wherever the application says.
        lifeline: A pipe that ends when there is no ``pgqueue dev`` any more.
    """

    app: str
    dsn: str | None
    concurrency: int
    lifeline: int = -1


def main(arguments: Sequence[str]) -> NoReturn:
    """Load the application, migrate its database, run its jobs until TERM or INT."""
    asked = Asked(**json.loads(arguments[0]))
    threading.Thread(target=_end_with, args=(asked.lifeline,), name="pgqueue dev lifeline", daemon=True).start()
    log_to(sys.stderr, as_json=False)
    quieten()
    try:
        pgq = _prepared(asked)
        sys.exit(asyncio.run(_run(pgq, asked.concurrency)))
    except PgQueueError as error:
        print_error(error, as_json=False)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(NOT_LOADED)


def quieten() -> None:
    """Let libraries that tell each of their steps say only what is wrong."""
    for name in ("alembic", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written to it
    os.kill(os.getpid(), signal.SIGTERM)


def _prepared(asked: Asked) -> PgQueue[Any]:
    try:
        pgq = load(asked.app)
    except (PgQueueError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a module may end in any way
        click.echo("\n".join(shortened("".join(traceback.format_exception(error)))), err=True)
        sys.exit(NOT_LOADED)
    if asked.dsn is not None and pgq.settings.dsn != asked.dsn:
        raise ConfigurationError(
            f"{asked.app} names a database of its own, and its jobs would not be where pgqueue dev looks for them.",
            "Let it read PGQUEUE_DSN, as PgQueue() does, or pass --own-database.",
        )
    pgq.migrate()
    _print_tasks(pgq)
    log_successes(pgq.events, as_json=False)
    return pgq


def _print_tasks(pgq: PgQueue[Any]) -> None:
    queues: dict[str, list[str]] = {}
    for task in pgq.tasks:
        queues.setdefault(task.options.queue or "default", []).append(task.name)
    colour, width = wants_colour(sys.stderr), max(map(len, queues), default=0)
    for number, queue in enumerate(sorted(queues)):
        title = click.style(f"{'' if number else 'tasks':<10}", dim=True)
        click.echo(f"  {title} {queue:<{width}}  {', '.join(sorted(queues[queue]))}", err=True, color=colour)


async def _run(pgq: PgQueue[Any], concurrency: int) -> int:
    code = await pgq.worker(concurrency=concurrency, stop_timeout=STOP_TIMEOUT).run()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        leave(code)  # the jobs of these threads were handed back, and Python would wait for them
    return code


if __name__ == "__main__":
    main(sys.argv[1:])
