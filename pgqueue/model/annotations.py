"""Does a value fit an annotation? For the types that JSON has; everything else is left to the serialiser.

Static checkers see a wrong call first. This finds what reaches run time: values from a request, untyped callers.
"""

from __future__ import annotations

import types
from collections import abc
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

_LISTS = (list, abc.Sequence, abc.Iterable, abc.Collection)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)


def fits(value: object, annotation: Any) -> bool:  # noqa: PLR0911 - one line a kind
    """Say whether the value fits; True for annotations that are not checked."""
    if annotation is None or annotation is type(None):
        return value is None
    if annotation in _PLAIN:
        return _PLAIN[annotation](value)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if origin in _LISTS:
        item = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(fits(one, item) for one in value)
    if origin in _MAPS:
        key, item = arguments or (Any, Any)
        return isinstance(value, dict) and all(fits(k, key) and fits(v, item) for k, v in value.items())
    return True


def _is(*kinds: type, but: type | None = None) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds) and not (but is not None and isinstance(value, but))


_PLAIN: dict[Any, Callable[[object], bool]] = {
    int: _is(int, but=bool),
    float: _is(int, float, but=bool),
    str: _is(str),
    bool: _is(bool),
    list: _is(list, tuple),
    dict: _is(dict),
}
