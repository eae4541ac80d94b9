"""The end: the audit's questions with their answers, and the proof."""

from __future__ import annotations

import json
from datetime import time as clock_time
from datetime import timedelta
from typing import Any

import psycopg
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from examples.shop.audit import QUESTIONS, Answer, ask
from examples.shop.mailbox import Letter
from examples.shop.proof import Check, sent_twice

MOST_DIFFERENCES = 8
MIDDLE = (0, 2)


def report_audit(console: Console, connection: psycopg.Connection[Any]) -> None:
    """Ask every question and show the SQL with the answer."""
    console.rule("[bold]The audit[/], in plain SQL on the public views", style="dim", align="left")
    for question in QUESTIONS:
        answer = ask(connection, question)
        if not answer.rows:
            continue
        console.print(Padding(Text(question.title, "bold"), (1, 2, 0, 2), expand=False))
        console.print(
            Padding(
                Syntax(question.sql, "sql", theme="ansi_dark", background_color="default", word_wrap=True),
                MIDDLE,
                expand=False,
            )
        )
        console.print(Padding(_table(answer), MIDDLE, expand=False))
    console.print()


def report_proof(console: Console, checks: list[Check], letters: list[Letter], problem: str | None = None) -> bool:
    """Show every check, and what differs; return whether all hold and nothing else went wrong."""
    console.rule("[bold]The proof[/]", style="dim", align="left")
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("")
    table.add_column("claim", min_width=51)
    for column in ("promised", "found"):
        table.add_column(column, justify="right", min_width=8)
    for check in checks:
        sign = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(sign, check.claim, str(check.promised), str(check.found))
    console.print(Padding(table, (1, 2), expand=False))
    _tell_of_duplicates(console, sent_twice(letters))
    for check in checks:
        for difference in check.differences[:MOST_DIFFERENCES]:
            console.print(Text(f"  ✗ {check.claim}: {difference}", "red"))
        more = len(check.differences) - MOST_DIFFERENCES
        if more > 0:
            console.print(Text(f"    and {more} more", "red"))
    proved = problem is None and all(check.holds for check in checks)
    console.print(
        Text("  Proved." if proved else f"  Not proved. {problem or ''}", "bold green" if proved else "bold red")
    )
    return proved


def _tell_of_duplicates(console: Console, duplicates: int) -> None:
    told = (
        f"{duplicates} mail{'s' * (duplicates > 1)} sent twice, by design of at-least-once; recognised by Message-ID"
        if duplicates
        else "no mail was sent twice (at-least-once allows it; the Message-ID would tell)"
    )
    console.print(Padding(Text(told, "dim"), (0, 2, 1, 2), expand=False))


def _table(answer: Answer) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="cyan")
    for index, column in enumerate(answer.columns):
        number = all(isinstance(row[index], int | timedelta) for row in answer.rows)
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.3f} s"
    if isinstance(value, clock_time):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else str(value)
