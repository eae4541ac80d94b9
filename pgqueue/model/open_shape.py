"""Tasks whose function is not here: their arguments are whatever JSON holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidArguments
from pgqueue.model.payload import LARGEST_PAYLOAD, CallShape
from pgqueue.model.writing import write_json


class OpenShape(CallShape):
    """The signature of a task that is declared elsewhere, or of a route: any arguments by name, not checked, not converted."""

    def __init__(self, name: str) -> None:
        super().__init__(_anything, context=False)
        self.name = name

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = False) -> str:
        """Write arguments.

        Raises:
            InvalidArguments: One is passed by position.
            InvalidPayload: An argument is not JSON, holds a NUL, or the whole is over 1 MiB.
        """
        if args:
            raise InvalidArguments(
                f"{self.name} is declared elsewhere, and {short(args[0])} has no name.", "Pass it by keyword."
            )
        return write_json(dict(kwargs), self.name, "the arguments", LARGEST_PAYLOAD, _remedy_of_open)

    def check_names(self, names: Sequence[str] | None) -> None:
        """Accept names, for there is nothing to compare them with."""

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read stored arguments, as the one mapping that a route's function takes."""
        return (self.read(text),), {}


def _anything() -> None:
    """Take and return whatever JSON holds."""


def _remedy_of_open(_: object) -> str:
    return "Pass what JSON can hold."
