"""How values of one annotation are stored, and what is said when they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Converter:
    """Both ways between a value and what JSON holds.

    Attributes:
        accepts: Say whether a value is of the annotated type, seen from outside.
        write: Return what JSON holds for a value; raises Misfit.
        read: Return the value; raises Misfit.
    """

    accepts: Callable[[object], bool]
    write: Convert
    read: Convert


class Misfit(Exception):
    """A value that its annotation does not allow.

    Args:
        value: The value, or what was stored for it.
        why: The end of a sentence that begins with the value.
    """

    def __init__(self, value: object, why: str) -> None:
        super().__init__(why)
        self.path: list[str] = []
        self.value = value
        self.why = why

    def told(self, name: str) -> str:
        """Return the sentence, for the argument of this name."""
        return f"{'.'.join([name, *self.path])}={short(self.value)} {self.why}"


def wrong_type(value: object, wanted: str) -> Misfit:
    """Return what is said of a value of another type than annotated."""
    return Misfit(value, f"is of type {type(value).__name__}, not {wanted}")


def inside(name: str, value: object, error: Exception) -> Misfit:
    """Return what is said of the value of a field."""
    misfit = error if isinstance(error, Misfit) else Misfit(value, f"cannot be used ({reason(error)})")
    misfit.path.insert(0, name)
    return misfit


def short(value: object) -> str:
    """Return the beginning of a value as Python writes it; values may be anything, also unable to say it."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - as said; a number of 4301 digits is one
        return f"<{type(value).__name__}>"
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    return text if len(text) <= 60 else text[:57] + "..."


def reason(error: Exception) -> str:
    """Return the first line of an exception's message, or its type's name."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    try:
        line = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a message that cannot be shown
        line = ""
    return (line if len(line) <= 200 else line[:197] + "...").rstrip(".") or type(error).__name__
