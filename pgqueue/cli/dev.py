"""``pgqueue dev``: everything for the first minute. A server, a worker that is loaded again when a file changes, readable logs."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue

import click

from pgqueue.app import PgQueue
from pgqueue.cli.dev_worker import NOT_LOADED, Asked, quieten
from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.embedded import embedded
from pgqueue.telemetry.console import wants_colour
from pgqueue.telemetry.events import Events
from pgqueue.telemetry.logs import log, log_to

FOLDER = ".pgqueue"
POSTGRES = 18
LOOK_SECONDS = 0.2
END_SECONDS = 5.0
AGAIN_SECONDS = 1.0
DEBOUNCE_MILLISECONDS = 200


@click.command()
@click.argument("app", metavar="APP")
@click.option("--concurrency", "-c", default=10, show_default=True, help="Jobs that run at the same time.")
@click.option("--dsn", metavar="URL", help="Use this database, not a server of our own. It is migrated.")
@click.option("--own-database", is_flag=True, help="Use the database that the application names. It is migrated.")
@click.option(
    "--watch", "-w", metavar="PATH", multiple=True, help="Reload when a *.py below changes; repeatable; here."
)
def dev(*, app: str, concurrency: int, dsn: str | None, own_database: bool, watch: Sequence[str]) -> None:
    """Develop the PgQueue in APP (module or module:name): server, worker, reload and logs in one command.

    Without --dsn it runs a PostgreSQL of its own, whose data stays in .pgqueue/ in this folder. The application finds it
    in PGQUEUE_DSN. Ctrl-C ends all.
    """
    if dsn is not None and own_database:
        raise click.UsageError("--dsn and --own-database exclude each other.")
    log_to(sys.stderr, as_json=False)
    quieten()
    paths = [Path(path) for path in watch] or [Path.cwd()]
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"There is no {path} to watch.", "Name a file or folder with --watch.")
    signal.signal(signal.SIGTERM, _interrupt)  # until the worker runs, as Ctrl-C does
    with _database(dsn, own=own_database) as (url, told):
        _print_header(app, url, told, paths)
        sys.exit(Supervision(Asked(app, url, concurrency), paths).run())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _database(dsn: str | None, *, own: bool) -> Iterator[tuple[str | None, str]]:
    """Yield the database's URL, None for the application's own, and what is said of it."""
    if own:
        yield None, "the one that the application names"
    elif dsn is not None:
        yield PgQueue(dsn).settings.dsn, "as --dsn says"
    else:
        with (
            _locked(Path.cwd() / FOLDER) as folder,
            embedded(folder / f"postgres-{POSTGRES}", version=POSTGRES) as server,
        ):
            yield server.dsn, f"its data stays in {FOLDER}/; remove that folder to start over"


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Make the folder, which keeps itself out of version control, and keep others out of it."""
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"Another pgqueue dev has its data in {folder}.", "Stop it, or pass --dsn with the URL that it shows."
            ) from None
        yield folder


def _print_header(app: str, url: str | None, told: str, paths: Sequence[Path]) -> None:
    here = Path.cwd()
    names = ", ".join("this folder" if path.resolve() == here else str(path) for path in paths)
    reload = f"when a *.py in {names} changes" if _can_watch() else "off; for it run: pip install 'pgqueue[reload]'"
    lines = [("database", told if url is None else url)]
    if url is not None:
        lines += [("", told), ("elsewhere", f"export PGQUEUE_DSN='{url}'")]
    lines += [("reload", reload), ("stop", "Ctrl-C")]
    colour = wants_colour(sys.stderr)
    click.echo(f"\n  {click.style('pgqueue dev', bold=True)}  {app}\n", err=True, color=colour)
    for name, text in lines:
        click.echo(f"  {click.style(f'{name:<10}', dim=True)} {text}", err=True, color=colour)


def _can_watch() -> bool:
    return find_spec("watchfiles") is not None


class Supervision:
    """Keeps one worker process running: a fresh one after each change, and after each death.

    Args:
        asked: What the worker is told.
        paths: What is watched.
    """

    def __init__(self, asked: Asked, paths: Sequence[Path]) -> None:
        self._asked = asked
        self._paths = paths
        self._stop = threading.Event()
        self._changes: SimpleQueue[frozenset[str]] = SimpleQueue()
        self._lifeline, self._held = os.pipe()  # the worker ends when nobody holds this end
        self._worker: subprocess.Popen[bytes] | None = None
        self._events = Events()
        self._events.subscribe(log)
        self._watcher: threading.Thread | None = None

    def run(self) -> int:
        """Run until INT or TERM; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._tell_stop)
        if _can_watch():
            self._watcher = threading.Thread(target=self._watch, name="pgqueue dev watch", daemon=True)
            self._watcher.start()
        code = 0
        try:
            self._start()
            while not self._stop.is_set() and not code:
                changed = self._next_change()
                if changed:
                    self._events.emit("dev.changed", files=", ".join(sorted(changed)))
                    self._end()
                    self._start()
                elif self._worker is not None and self._worker.poll() is not None:
                    code = self._has_ended(self._worker.returncode)
        finally:
            self._stop.set()
            self._end()
        return code

    def _tell_stop(self, *_: object) -> None:
        self._stop.set()
        self._changes.put(frozenset())  # so that nobody sleeps on

    def _start(self) -> None:
        asked = json.dumps({**self._asked._asdict(), "lifeline": self._lifeline})
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self._asked.dsn is not None:
            environment["PGQUEUE_DSN"] = self._asked.dsn
            environment.pop("PGQUEUE_DIRECT_DSN", None)  # it leads to the pooled database of another environment
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "pgqueue.cli.dev_worker", asked], env=environment, pass_fds=[self._lifeline]
        )

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.terminate()
            try:
                worker.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def _has_ended(self, code: int) -> int:
        """Start another worker, at once or after a change; without reload give an application up that cannot be loaded."""
        self._worker = None
        if code == NOT_LOADED:
            if self._watcher is None:
                return 2
            self._events.emit("dev.waiting")
        elif not self._stop.is_set():
            self._events.emit("dev.worker_died", **({"signal": -code} if code < 0 else {"code": code}))
            if not self._stop.wait(AGAIN_SECONDS):
                self._start()
        return 0

    def _next_change(self) -> frozenset[str]:
        try:
            return self._changes.get(timeout=LOOK_SECONDS)
        except Empty:
            return frozenset()

    def _watch(self) -> None:
        from watchfiles import PythonFilter, watch

        try:
            for changes in watch(
                *self._paths, watch_filter=PythonFilter(), debounce=DEBOUNCE_MILLISECONDS, stop_event=self._stop
            ):
                self._changes.put(frozenset(_short(path) for _, path in changes))
        except Exception as error:  # noqa: BLE001 - such as too many folders for the system
            self._events.tell_failure("reload", error)


def _short(path: str) -> str:
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
