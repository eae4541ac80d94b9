"""What commands print: aligned tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

import click

from pgqueue.model.errors import PgQueueError

WIDEST_CELL = 60


def print_json(value: Any) -> None:
    """Print a value, records as objects, instants as ISO 8601 in UTC."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Mapping[str, Any]], empty: str) -> None:
    """Print rows under their column names; numbers to the right. Without rows, say so."""
    if not rows:
        click.echo(empty)
        return
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    numeric = [all(isinstance(row[name], int | float) or row[name] is None for row in rows) for name in names]
    for line in ([name.upper() for name in names], *cells):
        click.echo("  ".join(map(_aligned, line, widths, numeric)).rstrip())


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values below each other; leave out what is empty."""
    shown = {name: value for name, value in facts.items() if value not in (None, [], {}, "")}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        first, *more = (_text(value) or "").splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}")
        for line in more:
            click.echo(f"{'':<{width}}  {line}")


def print_error(error: PgQueueError, *, as_json: bool) -> None:
    """Print the problem and the remedy on the error stream."""
    if as_json:
        told = {"type": type(error).__name__, "problem": error.problem, "remedy": error.remedy}
        click.echo(json.dumps({"error": told}, ensure_ascii=False), err=True)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error.problem}\n       {error.remedy}", err=True)


def print_outcomes(outcomes: Mapping[str, str], done: Callable[[str], bool], *, as_json: bool) -> None:
    """Print what became of each id; end with 1 when one could not be done."""
    if as_json:
        print_json([{"id": job_id, "outcome": outcome} for job_id, outcome in outcomes.items()])
    else:
        for job_id, outcome in outcomes.items():
            click.echo(f"{job_id}  {outcome}")
    if not all(done(outcome) for outcome in outcomes.values()):
        sys.exit(1)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _cell(value: Any) -> str:
    line = " ".join(_text(value).split())
    return line if len(line) <= WIDEST_CELL else line[: WIDEST_CELL - 1] + "…"


def _aligned(cell: str, width: int, numeric: bool) -> str:
    return cell.rjust(width) if numeric else cell.ljust(width)
