"""What a check has to ask with, and the words that checks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from psycopg import Connection
from psycopg.rows import TupleRow

from pgqueue.backend import Finding
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import DEFAULT_SCHEMA
from pgqueue.postgres.statements import statement

LIMIT = "10s"
NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Patient:
    """A database under examination.

    Attributes:
        seconds: How long the connect took.
        now: The time by the clock of this machine.
        role: Who asks; known once the server was asked.
        version: Of the server, as a number such as 180006.
    """

    settings: Settings
    connection: Connection[TupleRow]
    seconds: float
    now: Callable[[], datetime]
    role: str = ""
    database: str = ""
    version: int = 0

    def ask(self, name: str, parameters: Mapping[str, Any] = NOTHING) -> list[TupleRow]:
        """Execute sql/<name>.sql, for ten seconds at most; behind a pooler that is said in the transaction."""
        with self.connection.transaction():
            self.connection.execute(f"set local statement_timeout = '{LIMIT}'".encode())
            text = statement(name, self.settings.schema)
            return self.connection.execute(text, parameters or None).fetchall()

    def command(self, words: str) -> str:
        """Return a command of ours, with the schema where it is not the usual one."""
        schema = self.settings.schema
        return f"pgqueue {words}" if schema == DEFAULT_SCHEMA else f"pgqueue {words} --schema {schema}"


Check: TypeAlias = Callable[[Patient], Finding]


def some(count: int, thing: str) -> str:
    """Return a number of things: 1 job, 2,000 jobs."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def ago(seconds: float) -> str:
    """Return a length of time: 5 s, 3 min, 2 h, 4 days."""
    for length, word in ((172_800, "days"), (7200, "h"), (120, "min")):
        if round(seconds) >= length:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[word]:.0f} {word}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
