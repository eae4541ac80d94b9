"""Dataclasses, NamedTuples and TypedDicts: stored as a JSON object by field name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Set
from typing import Any, NotRequired, Required, get_origin

from pgqueue.model.annotations import fields_of, hints_of, is_dataclass, is_named_tuple
from pgqueue.model.conversion import Convert, Converter, Misfit, inside, short, wrong_type
from pgqueue.model.errors import TaskError

Build = Callable[[Any], Converter]


def structure(annotation: Any, build: Build, known: dict[Any, Converter]) -> Converter:
    """Return the converter of a class with annotated fields; it is known before its fields are, which may be of the class itself.

    Raises:
        TaskError: Its annotations cannot be resolved, or its instances cannot be made from their fields.
    """
    kind = get_origin(annotation) or annotation
    hints = fields_of(annotation)
    fields: dict[str, Converter] = {}
    if is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        converter = _object(kind, fields, _attributes(names), _dataclass_maker(kind))
    elif is_named_tuple(kind):
        names = list(kind._fields)
        converter = _object(kind, fields, _attributes(names), lambda values: kind(**values))
    else:
        names = list(hints)
        converter = _object(kind, fields, lambda value: value, _typed_dict_maker(kind), exact=False)
    known[annotation] = converter
    fields |= {name: build(hints.get(name, Any)) for name in names}
    return converter


def _object(
    kind: type, fields: Mapping[str, Converter], taken: Convert, make: Convert, *, exact: bool = True
) -> Converter:
    def accepts(value: object) -> bool:
        return type(value) is kind if exact else isinstance(value, dict)

    def write(value: object) -> dict[str, Any]:
        if not accepts(value):
            raise wrong_type(value, kind.__name__)
        values = taken(value)
        if not exact:
            make(values)  # a dict may lack a key
        return _each(fields, values, kind, lambda converter: converter.write)

    def read(stored: object) -> Any:
        if not isinstance(stored, dict):
            raise Misfit(stored, f"is not the object of a {kind.__name__}")
        values = _each(fields, stored, kind, lambda converter: converter.read)
        try:
            return make(values)
        except RecursionError:
            raise
        except Misfit:
            raise
        except Exception as error:  # noqa: BLE001 - a constructor is the user's code
            raise Misfit(stored, f"makes no {kind.__name__} ({error})") from None

    return Converter(accepts, write, read)


def _each(
    fields: Mapping[str, Converter], values: Mapping[Any, Any], kind: type, way: Callable[[Converter], Convert]
) -> dict[str, Any]:
    """Convert the value of each field that there is."""
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise Misfit(values, f"has {short(name)}, which {kind.__name__} does not have")
        try:
            converted[name] = way(fields[name])(value)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 - also what a value's own methods raise
            raise inside(name, value, error) from None
    return converted


def _attributes(names: list[str]) -> Convert:
    def taken(value: object) -> dict[str, Any]:
        try:
            return {name: getattr(value, name) for name in names}
        except AttributeError as error:
            raise Misfit(value, f"is incomplete ({error})") from None

    return taken


def _typed_dict_maker(kind: Any) -> Convert:
    needed = _required_keys(kind)

    def make(values: dict[str, Any]) -> dict[str, Any]:
        missing = needed - values.keys()
        if missing:
            raise Misfit(values, f"lacks {', '.join(sorted(missing))} of {kind.__name__}")
        return values

    return make


def _required_keys(kind: Any) -> Set[str]:
    """Under ``from __future__ import annotations`` the class itself overlooks NotRequired."""
    hints = hints_of(kind, include_extras=True)
    said: dict[str, Any] = {name: get_origin(hint) for name, hint in hints.items()}
    return {
        name
        for name, origin in said.items()
        if origin is Required or (origin is not NotRequired and name in kind.__required_keys__)
    }


def _dataclass_maker(kind: Any) -> Convert:
    """Make instances by the constructor, so that it may check; then set what it would change, or does not take."""
    names = _taken_by_constructor(kind)
    generated = kind.__dataclass_params__.init and "__dataclass_params__" in vars(kind)
    if generated and not hasattr(kind, "__post_init__") and all(field.init for field in dataclasses.fields(kind)):
        return lambda values: kind(**values)

    def make(values: dict[str, Any]) -> Any:
        made = kind(**{name: value for name, value in values.items() if name in names})
        for name, value in values.items():
            object.__setattr__(made, name, value)  # frozen or not
        return made

    return make


def _taken_by_constructor(kind: Any) -> Set[str]:
    """Return the fields that the constructor takes.

    Raises:
        TaskError: It does not take a field by name, or needs something that is no field.
    """
    fields = {field.name: field.init for field in dataclasses.fields(kind)}
    parameters = inspect.signature(kind).parameters.values()
    by_name = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    needed = {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    untaken = set() if anything else {name for name, init in fields.items() if init} - by_name
    odd = untaken | (needed - {name for name in fields if name in by_name})
    if odd:
        raise TaskError(
            f"A {kind.__qualname__} cannot be made from its fields: its constructor and they differ in {', '.join(sorted(odd))}.",
            "Let the constructor take the fields by name and nothing else without a default, or pass the object's key.",
        )
    return {name for name, init in fields.items() if name in by_name or (init and anything)}
