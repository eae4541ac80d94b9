"""Models of pydantic and msgspec. Neither is imported before an annotation needs it."""

from __future__ import annotations

import inspect
import json
from datetime import datetime
from typing import Any

from pgqueue.model.annotations import fits, shown
from pgqueue.model.conversion import Convert, Converter, Misfit, reason, short, wrong_type
from pgqueue.model.errors import TaskError


def pydantic_converter(annotation: Any, plain: Any) -> Converter:
    """Let pydantic write a whole annotation.

    Args:
        annotation: With what ``Annotated`` says.
        plain: Without it.

    Raises:
        TaskError: Pydantic cannot.
    """
    from pydantic import TypeAdapter

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        adapter.rebuild(raise_errors=True)
    except Exception as error:  # noqa: BLE001 - PydanticUserError, PydanticUndefinedAnnotation, NameError, …
        raise TaskError(
            f"Pydantic cannot handle {shown(annotation)} ({reason(error)}).",
            "Annotate with a model that pydantic.TypeAdapter takes, fully defined before the task is declared.",
        ) from None
    # Names of fields where pydantic can read them (2.11), else the aliases that it reads by default.
    by_name = "by_name" in inspect.signature(TypeAdapter.validate_json).parameters
    names: dict[str, Any] = {"by_alias": True, "by_name": True} if by_name else {}

    def write(value: object) -> Any:
        return adapter.dump_python(value, mode="json", by_alias=not by_name, round_trip=True, warnings="error")

    def read(stored: object) -> Any:
        # As JSON and not as Python objects: a strict model takes the text of a datetime only there.
        return adapter.validate_json(json.dumps(stored, allow_nan=False), **names)

    def all_of(value: object) -> Any:
        return _timed(adapter.dump_python(value, round_trip=True, serialize_as_any=True, warnings="none"))

    return _checked(plain, write, read, all_of)


def msgspec_converter(annotation: Any, plain: Any) -> Converter:
    """Let msgspec write a whole annotation.

    Args:
        annotation: With what ``Annotated`` says.
        plain: Without it.

    Raises:
        TaskError: Msgspec cannot.
    """
    import msgspec

    try:
        msgspec.json.Decoder(annotation)
    except Exception as error:  # noqa: BLE001 - TypeError, NameError of a forward reference, …
        raise TaskError(
            f"Msgspec cannot handle {shown(annotation)} ({reason(error)}).",
            "Annotate with a type that msgspec.json.Decoder takes.",
        ) from None

    def write(value: object) -> Any:
        return msgspec.to_builtins(value, str_keys=True, order="deterministic")

    def read(stored: object) -> Any:
        return msgspec.convert(stored, annotation, str_keys=True)

    def all_of(value: object) -> Any:
        return msgspec.to_builtins(value, order="deterministic")  # keys as they are: 1 is not "1"

    return _checked(plain, write, read, all_of)


def _checked(plain: Any, write: Convert, read: Convert, all_of: Convert) -> Converter:
    """Models may write less than they hold (a masked secret, the fields of a subclass): what is written is read back."""

    def write_checked(value: object) -> Any:
        if not fits(value, plain):
            raise wrong_type(value, shown(plain))
        try:
            stored = write(value)
            same = _is_same(value, read(stored), all_of)
            if not same:
                json.dumps(stored, allow_nan=False)  # of NaN the better reason
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 - validators and serialisers are the user's code
            raise Misfit(value, f"cannot be stored ({reason(error)})") from None
        if not same:
            raise Misfit(value, f"would not come back equal (it is stored as {short(stored)})")
        return stored

    def read_checked(stored: object) -> Any:
        try:
            return read(stored)
        except Exception as error:  # noqa: BLE001 - as above
            raise Misfit(stored, f"is no {shown(plain)} ({reason(error)})") from None

    return Converter(lambda value: fits(value, plain), write_checked, read_checked)


def _is_same(value: object, back: object, all_of: Convert) -> bool:
    """Say whether nothing was lost. Models that compare by identity or by private attributes are compared by content."""
    return bool(back == value) or bool(all_of(back) == all_of(value))


def _timed(value: Any) -> Any:
    """Write times with their offset: those of an hour that comes twice are unequal to the same times of another zone."""
    if isinstance(value, dict):
        return {key: _timed(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_timed(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
