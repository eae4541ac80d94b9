"""The demonstration: sets the stage, opens the shop, waits until everything is done, audits, proves."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from examples.shop.audit import collect
from examples.shop.pictures import WIDTHS, resized
from examples.shop.proof import prove
from examples.shop.report import report_audit, report_proof
from examples.shop.screen import Screen
from examples.shop.stage import Options, Stage, StageError, last_words, staged
from pgqueue import EmbeddedUnavailable, PgQueueError

REFRESH_SECONDS = 0.25
PATIENCE = 60.0  # after the business has closed
NARROWEST = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; return 0 when the proof holds, 1 when not, 2 when it cannot run here, 130 after Ctrl-C."""
    options = _read(arguments)
    console = Console(width=None if sys.stdout.isatty() else NARROWEST)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    console.print("\n  [bold]A small shop on pgqueue[/]\n")
    try:
        with staged(options, console) as stage:
            return _play(stage, console)
    except KeyboardInterrupt:
        console.print("\n  Stopped. Nothing was left running.")
        return 130
    except (EmbeddedUnavailable, StageError, PgQueueError) as error:
        console.print(f"\n  {error}", style="red", markup=False)
        return 2


def _play(stage: Stage, console: Console) -> int:
    """Open the shop, wait until everything is done, then audit and prove."""
    problem = _trade(stage, console)
    stage.business.close()
    stage.crew.stop()
    if problem:
        console.print(f"\n  {problem}\n{last_words(stage.crew)}", style="red", markup=False)
    found = collect(stage.connection, stage.observer, stage.victim, stage.mailbox.letters, resized(stage.folder))
    report_audit(console, stage.connection)
    checks = prove(stage.business.ledger, found, WIDTHS)
    proved = report_proof(console, checks, stage.mailbox.letters, problem)
    console.print(f"  [dim]{time.monotonic() - stage.opened:.1f} s after set-up[/]\n", highlight=False)
    return 0 if proved else 1


def _trade(stage: Stage, console: Console) -> str | None:
    """Show the business until no job is live; return what went wrong, if anything."""
    stage.business.start()
    closed_at = None
    with Screen(console, stage) as screen:
        while True:
            began = time.monotonic()
            closed = not stage.business.is_alive()  # asked first: what it enqueued last is then in the view
            view = stage.observer.look()
            done = closed and not view.live
            screen.show(view, last=done)
            problem = _problem(stage, done=done)
            if done or problem:
                return problem
            closed_at = (closed_at or began) if closed else None
            if closed_at and began - closed_at > PATIENCE:
                return f"{view.live} jobs have not ended {PATIENCE:g} s after the shop was closed."
            stage.crash.try_once(view)
            time.sleep(max(0.0, REFRESH_SECONDS - (time.monotonic() - began)))


def _problem(stage: Stage, *, done: bool) -> str | None:
    if stage.business.error is not None:
        return f"The business failed: {stage.business.error}"
    if stage.crew.failed:
        return "A worker ended by itself."
    if done and stage.crash.is_waiting:
        return "No worker was busy enough to be killed. Take more orders, or pass --no-kill."
    return None


def _read(arguments: Sequence[str] | None) -> Options:
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop", description="A small shop on pgqueue that proves that nothing was lost."
    )
    parser.add_argument("--orders", type=_positive, default=usual.orders, help="orders to try, and as many sign-ups")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="how long the shop is open")
    parser.add_argument("--delay", default=usual.delay, help="of every third welcome mail")
    parser.add_argument("--no-kill", dest="kill", action="store_false", help="let both workers live")
    parser.add_argument("--postgres", type=int, choices=(16, 18), default=usual.postgres)
    return Options(**vars(parser.parse_args(arguments)))


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
