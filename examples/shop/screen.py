"""Progress: a calm live display in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.shop.crew import WorkerProcess
from examples.shop.look import View
from examples.shop.mail import Kind
from examples.shop.pictures import count_resized
from examples.shop.stage import Stage

QUEUES = ("mail", "payments", "pictures")
STATES = {"scheduled": "cyan", "ready": "yellow", "running": "blue", "succeeded": "green", "dead": "red"}
LINE_SECONDS = 2.0


class Screen:
    """Shows a stage for the length of a ``with`` block."""

    def __init__(self, console: Console, stage: Stage) -> None:
        self._console = console
        self._stage = stage
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._next_line = 0.0
        self._rescued_at: float | None = None

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, view: View, *, last: bool = False) -> None:
        """Show one moment."""
        now = time.monotonic()
        if view.runs["rescued"] and self._rescued_at is None:
            self._rescued_at = now
        if self._live is not None:
            self._live.update(self._picture(view, now), refresh=True)
        elif now >= self._next_line or last:
            self._next_line = now + LINE_SECONDS
            self._console.print(self._line(view, now), highlight=False, soft_wrap=True)

    def _line(self, view: View, now: float) -> str:
        mails, victim = self._stage.mailbox.delivered(), self._stage.victim
        fate = "" if victim is None else f"; worker {victim.name} {self._fate(victim)}"
        return (
            f"{now - self._stage.opened:5.1f} s  business {self._stage.business.share:4.0%}  "
            f"jobs {view.total:4} of which live {view.live:3}  mails {mails.total():4}  "
            f"pictures {count_resized(self._stage.folder):4}{fate}"
        )

    def _picture(self, view: View, now: float) -> RenderableType:
        parts = (self._head(view, now), _queues(view), self._shop(), self._workers(view))
        return Group(*(Padding(part, (1, 2, 0, 2)) for part in parts), "")

    def _head(self, view: View, now: float) -> RenderableType:
        share = self._stage.business.share
        head = Table.grid(padding=(0, 2))
        told = (
            "the shop is open" if share < 1 else "closed; the last jobs run" if view.live else "closed; every job ended"
        )
        head.add_row(
            Text(f"{now - self._stage.opened:5.1f} s", "bold"), ProgressBar(1.0, share, width=30), Text(told, "dim")
        )
        return head

    def _shop(self) -> Table:
        ledger, mails = self._stage.business.ledger, self._stage.mailbox.delivered()
        table = _table("shop", "committed", "rolled back", "mails delivered", "pictures")
        rows: tuple[tuple[str, Kind, str], ...] = (
            ("sign-ups", "welcome", ""),
            ("orders", "confirmation", str(count_resized(self._stage.folder))),
        )
        for name, kind, more in rows:
            table.add_row(
                name,
                str(len(ledger.numbers(kind))),
                str(len(ledger.lost(kind))),
                str(mails[kind]),
                more,
            )
        return table

    def _workers(self, view: View) -> Table:
        table = _table("worker", "running", "ended")
        table.add_column("fate", justify="left")
        for worker in self._stage.crew.workers:
            running, ended = view.hands.get(worker.pid, (0, 0))
            style = "red" if worker.exit_code not in (None, 0) else "green"
            table.add_row(
                f"{worker.name} {worker.pid}", _number(running), _number(ended), Text(self._fate(worker), style)
            )
        return table

    def _fate(self, worker: WorkerProcess) -> str:
        if worker.killed_at is None:
            return "alive" if worker.exit_code is None else f"ended with code {worker.exit_code}"
        killed = f"killed at {worker.killed_at - self._stage.opened:.1f} s with {len(worker.held)} jobs"
        if self._rescued_at is None:
            return killed
        return f"{killed}; they came back after {self._rescued_at - worker.killed_at:.1f} s"


def _queues(view: View) -> Table:
    table = _table("queue", *STATES)
    for queue in QUEUES:
        table.add_row(queue, *(_number(view.jobs[queue, state], style) for state, style in STATES.items()))
    return table


def _table(first: str, *numbers: str) -> Table:
    """A table without lines: a name, and numbers in columns of one width."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column(first, min_width=10, style="bold")
    for number in numbers:
        table.add_column(number, justify="right", min_width=11)
    return table


def _number(count: int, style: str = "") -> Text:
    return Text(str(count), style if count else "dim")
