"""Writing JSON that PostgreSQL's jsonb can hold and give back as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pgqueue.model.conversion import reason, short
from pgqueue.model.errors import InvalidPayload

DEEPEST_PAYLOAD = 200  # levels of lists and objects; a worker's stack must have room to read them

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_SCALARS = frozenset({str, int, float, bool, type(None)})
_TEXT_OR_LARGE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9.]+e\+[0-9]+')
_BOUNDS = (
    f"Pass finite numbers of at most 4300 digits, text without lone surrogates, and at most {DEEPEST_PAYLOAD} levels."
)


def write_json(value: Any, task: str, what: str, largest: int, remedy: Callable[[Any], str]) -> str:
    """Write what PostgreSQL's jsonb can hold and give back as it is."""
    try:
        _check_tree(value, DEEPEST_PAYLOAD)
        text = _encode(value)
        if "e+" in text:
            text = _TEXT_OR_LARGE.sub(_spelled, text)
        size = len(text.encode())
    except TypeError as error:
        raise InvalidPayload(f"{task}: JSON cannot hold {what} ({reason(error)}).", remedy(value)) from None
    except (ValueError, RecursionError) as error:
        raise InvalidPayload(f"{task}: {what} cannot be stored as JSON ({reason(error)}).", _BOUNDS) from None
    if "\\u0000" in text and "\0" in text.replace("\\\\", "").replace("\\u0000", "\0"):
        raise InvalidPayload(
            f"{task}: {what} with a NUL character cannot be stored in PostgreSQL's jsonb.",
            "Remove it.",
        )
    if size > largest:
        raise InvalidPayload(
            f"{task}: {what} of {size} bytes cannot be stored, at most {largest} can.",
            "Store the data elsewhere and pass its key.",
        )
    return text


def _spelled(found: re.Match[str]) -> str:
    """Write a float from 1e16 on with a point, which jsonb keeps; else it comes back whole, and from 1e23 on as another."""
    return found[0] if found[0].startswith('"') else f"{float(found[0]):.1f}"


def _check_tree(value: object, room: int) -> None:
    """json.dumps writes a key 1 as "1", and the handler would get another dict than the caller gave."""
    if room < 0:
        raise ValueError(f"nested deeper than {DEEPEST_PAYLOAD} levels, or holding itself")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {short(key)} is of type {type(key).__name__}, not str")
            if type(item) not in _SCALARS:
                _check_tree(item, room - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _SCALARS:
                _check_tree(item, room - 1)
