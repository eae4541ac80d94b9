"""From an annotation to the way its values are stored. Prepared once a task; plain JSON has no converter."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, Unpack, get_args, get_origin

from pgqueue.model.annotations import (
    LISTS,
    MAPS,
    PLAIN,
    SETS,
    all_of,
    fits,
    is_model,
    is_pydantic,
    is_struct,
    is_structure,
    is_union,
    shown,
    unaliased,
)
from pgqueue.model.conversion import Converter, Misfit, wrong_type
from pgqueue.model.errors import TaskError
from pgqueue.model.foreign import msgspec_converter, pydantic_converter
from pgqueue.model.scalars import kinds_of_enum, scalar
from pgqueue.model.structures import structure

_KINDS = ("text", "number", "boolean", "list", "object")
_PLAIN_KINDS = {str: "text", int: "number", float: "number", bool: "boolean", list: "list", dict: "object"}


def converter_of(annotation: Any, full: Any = None) -> Converter | None:
    """Return how values of an annotation are stored, or None if they are JSON as they are.

    Args:
        annotation: Without ``Annotated``.
        full: With it, for pydantic and msgspec.

    Raises:
        TaskError: Values of it cannot be told apart when they are read, or it cannot be resolved.
    """
    made_of = all_of(annotation)
    full = annotation if full is None else full
    if any(is_pydantic(get_origin(one) or one) for one in made_of):
        _refuse_ambiguous(full)
        return pydantic_converter(full, annotation)
    if any(is_struct(get_origin(one) or one) for one in made_of):
        return msgspec_converter(full, annotation)
    for one in made_of:
        _check_union(one)
    return _Builder().build(annotation) if any(map(_converts, made_of)) else None


def _converts(annotation: Any) -> bool:
    """Say whether the annotation itself is no JSON; nothing is said of what it is made of."""
    origin = get_origin(annotation) or annotation
    if origin is tuple or origin in SETS or is_structure(annotation) or scalar(annotation) is not None:
        return True
    return is_pydantic(origin) or is_struct(origin) or (origin in MAPS and _key(annotation) is not None)


class _Builder:
    """Makes the converters of one annotation."""

    def __init__(self) -> None:
        self._known: dict[Any, Converter] = {}
        self._open: list[Any] = []  # names for types, whose types are being built

    def build(self, annotation: Any) -> Converter:
        """Return the converter of an annotation, also of plain JSON."""
        if annotation not in self._known:
            self._known[annotation] = self._make(annotation)
        return self._known[annotation]

    def _make(self, annotation: Any) -> Converter:  # noqa: PLR0911 - one line a kind
        if is_structure(annotation):
            return structure(annotation, self.build, self._known)
        one = scalar(annotation)
        if one is not None:
            return one
        if annotation is float:
            return FLOAT
        if not any(_converts(part) or part is float for part in all_of(annotation)):
            return _plain(annotation)
        if is_union(annotation):
            return self._union(annotation)
        origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
        if origin is tuple:
            return self._tuple(annotation, arguments)
        if origin in SETS:
            return _set(SETS[origin], self.build(arguments[0] if arguments else Any))
        if origin in LISTS:
            kinds = (list,) if origin is list else (list, tuple)  # of a Sequence comes back a list
            return _list(kinds, self.build(arguments[0] if arguments else Any))
        if origin in MAPS:
            return _dict(_key(annotation) or _plain(arguments[0]), self.build(arguments[1]))
        return self._alias(annotation)

    def _alias(self, annotation: Any) -> Converter:
        if annotation in self._open:
            raise TaskError(f"The type {shown(annotation)} refers to itself.", "Write it as a dataclass.")
        self._open.append(annotation)
        return self.build(unaliased(annotation))

    def _union(self, annotation: Any) -> Converter:
        members = [one for one in get_args(annotation) if one is not type(None)]
        if len(members) == len(get_args(annotation)):
            return _either(annotation, *self._apart(members))
        inner = self.build(members[0]) if len(members) == 1 else _either(annotation, *self._apart(members))
        return Converter(
            lambda value: value is None or inner.accepts(value),
            lambda value: None if value is None else inner.write(value),
            lambda stored: None if stored is None else inner.read(stored),
        )

    def _apart(self, members: list[Any]) -> tuple[Converter, set[str], list[Converter]]:
        """Return the member that is converted, what it is stored as, and the others."""
        odd = [one for one in members if any(map(_converts, all_of(one)))]
        others = [self.build(one) for one in members if one not in odd]
        return (self.build(odd[0]), _kinds(odd[0]), others) if odd else (_plain(Any), set(), others)

    def _tuple(self, annotation: Any, arguments: tuple[Any, ...]) -> Converter:
        if annotation is tuple or (len(arguments) == 2 and arguments[1] is Ellipsis):
            return _sequence(self.build(arguments[0] if arguments else Any))
        if any(get_origin(one) is Unpack or getattr(one, "__unpacked__", False) for one in arguments):
            raise TaskError(f"{shown(annotation)} is not supported.", "Write tuple[X, Y] or tuple[X, ...].")
        return _fixed(annotation, [self.build(one) for one in arguments])


def _plain(annotation: Any) -> Converter:
    """Return the converter of what JSON holds as it is: it only checks."""
    check = PLAIN.get(annotation) or partial(fits, annotation=annotation)

    def same(value: object) -> object:
        if not check(value):
            raise wrong_type(value, shown(annotation))
        return value

    return Converter(check, same, same)


def _read_float(stored: object) -> float:
    if not PLAIN[float](stored):
        raise wrong_type(stored, "float")
    return float(stored)  # type: ignore[arg-type]  # jsonb writes 1e16 as 10000000000000000


FLOAT = Converter(PLAIN[float], _plain(float).write, _read_float)


def _list(kinds: tuple[type, ...], item: Converter) -> Converter:
    def accepts(value: object) -> bool:
        return isinstance(value, kinds)

    def write(value: Any) -> list[Any]:
        if not accepts(value):
            raise wrong_type(value, "list")
        return [item.write(one) for one in value]

    def read(stored: object) -> list[Any]:
        return [item.read(one) for one in _as_list(stored)]

    return Converter(accepts, write, read)


def _sequence(item: Converter) -> Converter:
    """A tuple of any length."""

    def write(value: object) -> list[Any]:
        if not isinstance(value, tuple):
            raise wrong_type(value, "tuple")
        return [item.write(one) for one in value]

    def read(stored: object) -> tuple[Any, ...]:
        return tuple([item.read(one) for one in _as_list(stored)])

    return Converter(lambda value: isinstance(value, tuple), write, read)


def _fixed(annotation: Any, items: list[Converter]) -> Converter:
    """A tuple of a stated length."""

    def write(value: object) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != len(items):
            raise wrong_type(value, f"{shown(annotation)} of {len(items)}")
        return [item.write(one) for item, one in zip(items, value, strict=True)]

    def read(stored: object) -> tuple[Any, ...]:
        if len(_as_list(stored)) != len(items):
            raise Misfit(stored, f"is no list of {len(items)}")
        return tuple([item.read(one) for item, one in zip(items, _as_list(stored), strict=True)])

    return Converter(lambda value: isinstance(value, tuple), write, read)


def _set(kind: type, item: Converter) -> Converter:
    def write(value: object) -> list[Any]:
        if not isinstance(value, kind if kind is set else set | frozenset):
            raise wrong_type(value, kind.__name__)
        return sorted([item.write(one) for one in value], key=json.dumps)  # equal sets are stored equally

    def read(stored: object) -> Any:
        try:
            return kind([item.read(one) for one in _as_list(stored)])
        except TypeError as error:
            raise Misfit(stored, f"makes no {kind.__name__} ({error})") from None

    return Converter(lambda value: isinstance(value, set | frozenset), write, read)


def _dict(key: Converter, item: Converter) -> Converter:
    def write(value: object) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise wrong_type(value, "dict")
        return {key.write(name): item.write(one) for name, one in value.items()}

    def read(stored: object) -> dict[Any, Any]:
        if not isinstance(stored, dict):
            raise Misfit(stored, "is no object")
        return {key.read(name): item.read(one) for name, one in stored.items()}

    return Converter(lambda value: isinstance(value, dict), write, read)


def _as_list(stored: object) -> list[Any]:
    if not isinstance(stored, list):
        raise Misfit(stored, "is no list")
    return stored


def _key(annotation: Any) -> Converter | None:
    """Return how the keys of a dict are stored, for keys that are not text but have a text of their own."""
    key = unaliased((get_args(annotation) or (Any,))[0])
    if key is int:
        return _digits(_plain(int))
    one = scalar(key)
    if one is None or _kinds(key) == {"text"}:
        return one
    return _digits(one) if _kinds(key) == {"number"} else None


def _digits(number: Converter) -> Converter:
    def read(stored: str) -> Any:
        value = int(stored)
        if str(value) != stored:  # "01" and "1" would be one key
            raise Misfit(stored, "is no whole number")
        return number.read(value)

    return Converter(number.accepts, lambda value: str(number.write(value)), read)


def _either(annotation: Any, odd: Converter, kinds: set[str], others: list[Converter]) -> Converter:
    """A union of one member that is converted and others that are JSON, stored as something else than it."""

    def write(value: object) -> Any:
        if kinds and odd.accepts(value):
            return odd.write(value)
        return other(value, lambda one: one.write)

    def read(stored: object) -> Any:
        return odd.read(stored) if _kind_of(stored) in kinds else other(stored, lambda one: one.read)

    def other(value: object, way: Callable[[Converter], Callable[[Any], Any]]) -> Any:
        for one in others:
            if one.accepts(value):
                return way(one)(value)
        raise wrong_type(value, shown(annotation))

    return Converter(lambda value: odd.accepts(value) or any(one.accepts(value) for one in others), write, read)


def _kind_of(stored: object) -> str | None:
    if isinstance(stored, bool):
        return "boolean"
    return next((name for kind, name in _PLAIN_KINDS.items() if isinstance(stored, kind)), None)


def _kinds(annotation: Any) -> set[str]:  # noqa: PLR0911 - one line a kind
    """Return what values of an annotation are stored as; all kinds if that is not known."""
    annotation = unaliased(annotation)
    origin = get_origin(annotation) or annotation
    if annotation is type(None) or annotation is None:
        return set()
    if origin is Literal:
        return {name for one in get_args(annotation) for name in _kinds(type(one))}
    if is_union(annotation):
        return {name for one in get_args(annotation) for name in _kinds(one)}
    if origin in _PLAIN_KINDS:
        return {_PLAIN_KINDS[origin]}
    if origin is tuple or origin in LISTS or origin in SETS:
        return {"list"}
    if origin in MAPS or is_structure(annotation) or _is_object(origin):
        return {"object"}
    if isinstance(origin, type) and issubclass(origin, Enum):
        return kinds_of_enum(origin)
    return {"text"} if scalar(annotation) is not None else set(_KINDS)


def _is_object(kind: Any) -> bool:
    """Say whether a model has fields; the root of another may be anything."""
    return is_model(kind) and not getattr(kind, "__pydantic_root_model__", False)


def _check_union(annotation: Any) -> None:
    """Refuse a union whose members cannot be told apart by what is stored."""
    if not is_union(annotation):
        return
    members = [one for one in get_args(annotation) if one is not type(None)]
    odd = [one for one in members if any(map(_converts, all_of(one)))]
    if not odd:
        return
    others = {name for one in members if one not in odd for name in _kinds(one)}
    if len(odd) > 1 or _kinds(odd[0]) & others:
        raise TaskError(
            f"A stored value of {shown(annotation)} could be read as more than one of its types.",
            "Annotate with one of them, or with a dataclass that has a field for each.",
        )


def _refuse_ambiguous(annotation: Any) -> None:
    """Refuse unions that pydantic would tell apart by guessing; with a discriminator it does not."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        if not any(getattr(note, "discriminator", None) for note in notes):
            _refuse_ambiguous(inner)
        return
    _check_union(annotation)
    for one in get_args(annotation):
        _refuse_ambiguous(one)
