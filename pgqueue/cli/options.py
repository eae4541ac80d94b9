"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def place(command: Command) -> Command:
    """Add --dsn and --schema."""
    command = click.option("--schema", metavar="NAME", help='The schema; "pgqueue".')(command)
    return click.option("--dsn", metavar="URL", help="The database; PGQUEUE_DSN, DATABASE_URL or PG*.")(command)


def json_output(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
