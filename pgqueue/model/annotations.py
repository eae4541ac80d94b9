"""What an annotation says: does a value fit it, what is it made of, what is it stored as.

Static checkers see a wrong call first. This finds what reaches run time: values from a request, untyped callers.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections import abc
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from pgqueue.model.errors import TaskError

LISTS = (list, abc.Sequence, abc.Iterable, abc.Collection)
MAPS = (dict, abc.Mapping, abc.MutableMapping)
SETS: Mapping[Any, type] = {set: set, frozenset: frozenset, abc.Set: frozenset, abc.MutableSet: set}


def fits(value: object, annotation: Any) -> bool:  # noqa: PLR0911 - one line a kind
    """Say whether the value fits; True for annotations that are not checked."""
    if annotation is None or annotation is type(None):
        return value is None
    if annotation in PLAIN:
        return PLAIN[annotation](value)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if is_union(annotation):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if origin in LISTS:
        item = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(fits(one, item) for one in value)
    if origin in MAPS:
        key, item = arguments or (Any, Any)
        return isinstance(value, dict) and all(fits(k, key) and fits(v, item) for k, v in value.items())
    if isinstance(annotation, NewType):
        return fits(value, annotation.__supertype__)
    kind = origin or annotation
    if is_model(kind) or is_dataclass(kind):
        return type(value) is kind  # of an instance of a subclass only the declared part would be stored
    return True


def is_union(annotation: Any) -> bool:
    """Say whether it is ``A | B``, in either spelling."""
    return get_origin(annotation) in (Union, types.UnionType)


def is_dataclass(kind: Any) -> bool:
    """Say whether it is a class made by ``dataclasses``."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def is_named_tuple(kind: Any) -> bool:
    """Say whether it is a tuple with named fields."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_typed_dict(kind: Any) -> bool:
    """Say whether it is a TypedDict, of typing or of typing_extensions."""
    return isinstance(kind, type) and hasattr(kind, "__required_keys__") and hasattr(kind, "__total__")


def is_pydantic(kind: Any) -> bool:
    """Say whether pydantic knows the class: a model, a dataclass of its own, one of its types."""
    return isinstance(kind, type) and (
        "__pydantic_fields__" in vars(kind) or kind.__module__.partition(".")[0] in ("pydantic", "pydantic_core")
    )


def is_struct(kind: Any) -> bool:
    """Say whether it is a Struct of msgspec."""
    return isinstance(kind, type) and hasattr(kind, "__struct_config__")


def is_model(kind: Any) -> bool:
    """Say whether it is a class whose instances pydantic or msgspec writes."""
    return is_struct(kind) or (isinstance(kind, type) and "__pydantic_fields__" in vars(kind))


def fields_of(annotation: Any) -> dict[str, Any]:
    """Return the annotations of a class's fields, those of a generic class as it is parametrised here.

    Raises:
        TaskError: A name in them does not exist at run time.
    """
    kind = get_origin(annotation) or annotation
    try:
        hints = hints_of(kind)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise TaskError(
            f"The annotations of {kind.__qualname__} cannot be resolved ({error}).",
            "Import at run time what its fields are annotated with, before the task is declared.",
        ) from None
    bound = _bound(annotation)
    return {name: _substituted(hint, bound) for name, hint in hints.items()}


def hints_of(kind: Any, *, include_extras: bool = False) -> dict[str, Any]:
    """Return the annotations of a class; they may name the class itself, which need not be a name of its module."""
    local = {one.__name__: one for one in (kind, *getattr(kind, "__type_params__", ()))}
    return get_type_hints(kind, localns=local, include_extras=include_extras)


def _bound(annotation: Any) -> dict[Any, Any]:
    """Return what the type variables of a generic class and of its bases stand for."""
    kind = get_origin(annotation) or annotation
    own = dict(zip(getattr(kind, "__parameters__", ()), get_args(annotation), strict=False))
    above: dict[Any, Any] = {}
    for base in getattr(kind, "__orig_bases__", ()):
        above |= {variable: _substituted(stands, own) for variable, stands in _bound(base).items()}
    return above | own


def _substituted(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, Any)
    if isinstance(annotation, type) or not getattr(annotation, "__parameters__", ()):
        return annotation
    return annotation[tuple(bound.get(one, Any) for one in annotation.__parameters__)]


def is_structure(annotation: Any) -> bool:
    """Say whether it is a class with annotated fields that we write ourselves."""
    kind = get_origin(annotation) or annotation
    if is_pydantic(kind) or is_struct(kind):
        return False
    return is_dataclass(kind) or is_named_tuple(kind) or is_typed_dict(kind)


def unaliased(annotation: Any) -> Any:
    """Return what a NewType, a ``type`` statement, Annotated or Final stands for."""
    while True:
        origin = get_origin(annotation)
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif origin in (Annotated, Final):
            annotation = get_args(annotation)[0]
        elif _is_alias(annotation):
            annotation = annotation.__value__
        elif _is_alias(origin):
            annotation = origin.__value__[get_args(annotation)]
        else:
            return annotation


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"  # there are two: of typing and of typing_extensions


def parts_of(annotation: Any) -> tuple[Any, ...]:
    """Return the annotations that an annotation is made of; nothing for those that we do not look into."""
    origin = get_origin(annotation)
    if is_structure(annotation):
        return tuple(fields_of(annotation).values())
    if origin is tuple or origin in LISTS or origin in MAPS or origin in SETS or is_union(annotation):
        return get_args(annotation)
    inner = unaliased(annotation)
    return () if inner is annotation else (inner,)


def all_of(annotation: Any) -> list[Any]:
    """Return an annotation and all that it is made of, each once.

    Raises:
        TaskError: There is no end to them.
    """
    found: dict[Any, None] = {}
    todo = [annotation]
    while todo:
        one = todo.pop()
        if one not in found:
            found[one] = None
            todo.extend(parts_of(one))
        if len(found) > 1000:
            raise TaskError(f"{shown(annotation)} is made of more than 1000 types.", "Annotate with a simpler type.")
    return list(found)


def shown(annotation: Any) -> str:
    """Return an annotation as it stands in a signature."""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _is(*kinds: type, but: type | None = None) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds) and not (but is not None and isinstance(value, but))


def _is_float(value: object) -> bool:
    """A whole number is a float if it is the same number as a float; the handler gets a float."""
    if isinstance(value, float):
        return True
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    try:
        return float(value) == value
    except OverflowError:
        return False


PLAIN: dict[Any, Callable[[object], bool]] = {
    int: _is(int, but=bool),
    float: _is_float,
    str: _is(str),
    bool: _is(bool),
    list: _is(list, tuple),
    dict: _is(dict),
}
