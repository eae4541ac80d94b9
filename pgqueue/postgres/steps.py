"""What a producer's plan asks of the connection that carries it, and who can do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pgqueue.model.job import JobSpec
from pgqueue.model.plans import Plan

Row: TypeAlias = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Execute sql/<name>.sql; the answer is its rows."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Execute a word of transaction control."""

    text: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Execute sql/<name>.sql, a COPY, with these blocks of text: written while the server takes the ones before."""

    name: str
    blocks: Iterable[str]


@dataclass(frozen=True, slots=True)
class Take:
    """Take the next chunk of the caller's jobs; the answer is empty at their end."""


Step: TypeAlias = Fetch | Run | Copy | Take


@dataclass(frozen=True, slots=True)
class Traits:
    """What a connection can do.

    Attributes:
        copies: Whether it can COPY.
        commits: Whether each statement commits by itself now, because no transaction is open.
    """

    copies: bool = False
    commits: bool = False


class Carrier(Protocol):
    """A connection, seen as what carries jobs into its transaction. Answers steps, except Take."""

    @property
    def traits(self) -> Traits:
        """What it can do."""
        ...

    def do(self, step: Step) -> Any:
        """Do a step."""
        ...


class AsyncCarrier(Protocol):
    """An asynchronous connection, as ``Carrier``."""

    @property
    def traits(self) -> Traits:
        """What it can do."""
        ...

    async def do(self, step: Step) -> Any:
        """Do a step."""
        ...


Chunk: TypeAlias = list[JobSpec[Any]]
Writing: TypeAlias = Plan[Step, Any]
