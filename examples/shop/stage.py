"""Sets the stage: server, schema, pictures, mailbox, workers; and takes everything down again, in the opposite order."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from examples.shop.business import Business
from examples.shop.crash import Crash
from examples.shop.crew import Crew, WorkerProcess
from examples.shop.look import Observer
from examples.shop.mailbox import Mailbox
from examples.shop.orm import open_shop_tables
from examples.shop.pictures import PRODUCTS, draw_products
from examples.shop.tasks import PICTURES, SMTP_PORT, pgq
from pgqueue import embedded

KILL_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        orders: How many orders to try, and as many sign-ups.
        seconds: How long the business lasts.
        delay: Of every third welcome mail.
        kill: Whether a worker is killed.
        postgres: Major version of the server.
    """

    orders: int = 150
    seconds: float = 16.0
    delay: str = "10s"
    kill: bool = True
    postgres: int = 18


@dataclass(frozen=True, slots=True)
class Stage:
    """All that plays a part."""

    connection: psycopg.Connection[Any]
    folder: Path
    mailbox: Mailbox
    crew: Crew
    business: Business
    observer: Observer
    crash: Crash
    opened: float

    @property
    def victim(self) -> WorkerProcess | None:
        """The worker that was killed, if one was."""
        return next((worker for worker in self.crew.workers if worker.killed_at is not None), None)


class StageError(Exception):
    """The stage cannot be set."""


@contextmanager
def staged(options: Options, console: Console) -> Iterator[Stage]:
    """Set up, tell of each step, and leave nothing behind."""
    with ExitStack() as stack:
        try:
            yield _set(stack, options, console)
        finally:
            _ignore_signals()


def _set(stack: ExitStack, options: Options, console: Console) -> Stage:
    with _step(console, f"PostgreSQL {options.postgres} in a temporary folder"):
        server = stack.enter_context(embedded(version=options.postgres))
        os.environ["PGQUEUE_DSN"] = server.dsn
    with _step(console, "the queue's schema, migrated; the shop's tables beside it"):
        pgq.migrate()
        engine = open_shop_tables(server.dsn)
        stack.callback(engine.dispose)
        connection = stack.enter_context(psycopg.connect(server.dsn, autocommit=True))
    with _step(console, f"{len(PRODUCTS)} product pictures, and a mailbox that speaks SMTP"):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgqueue-shop-")))
        draw_products(folder)
        mailbox = stack.enter_context(Mailbox())
    crew = Crew({SMTP_PORT: str(mailbox.port), PICTURES: str(folder)}, folder)
    stack.callback(crew.stop)
    with _step(console, "two worker processes with 16 slots each"):
        crew.start()
        _wait_for(crew, connection)
    business = Business(engine, sign_ups=options.orders, seconds=options.seconds, delay=options.delay)
    stack.callback(business.close)
    opened, observer = time.monotonic(), Observer(connection)
    crash = Crash(crew.workers[0] if options.kill else None, observer, opened + KILL_SECONDS)
    return Stage(connection, folder, mailbox, crew, business, observer, crash, opened)


def _wait_for(crew: Crew, connection: psycopg.Connection[Any], seconds: float = 30.0) -> None:
    """Wait until both workers have registered."""
    deadline = time.monotonic() + seconds
    while connection.execute("select count(*) from pgqueue.worker").fetchone() != (len(crew.workers),):
        if crew.failed or time.monotonic() > deadline:
            raise StageError(f"A worker did not start. {last_words(crew)}")
        time.sleep(0.05)


def last_words(crew: Crew, lines: int = 5) -> str:
    """Return the ends of the workers' logs."""
    logs = {worker.name: worker.log.read_text(errors="replace").splitlines()[-lines:] for worker in crew.workers}
    return "\n".join(f"worker {name}: {line}" for name, log in logs.items() for line in log)


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"  [green]✓[/] {what:<62}[dim]{time.monotonic() - began:5.1f} s[/]", highlight=False)


def _ignore_signals() -> None:
    """Taking down must not be interrupted: it takes a few seconds and leaves no process behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
