"""Array literals as text. The driver's list dumper costs more than the statement that carries the list."""

from __future__ import annotations

from collections.abc import Iterable


def numbers(values: Iterable[object]) -> str:
    """Write numbers, or words that need no quotes such as NULL, as an array literal."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Write texts or None as an array literal."""
    return "{" + ",".join("NULL" if v is None else _quoted(v) for v in values) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
