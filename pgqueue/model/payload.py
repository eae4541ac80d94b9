"""From a call to a stored payload and back: arguments as a JSON object by parameter name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pgqueue.model.annotations import fits
from pgqueue.model.errors import InvalidArguments, InvalidPayload, TaskError

_read = json.JSONDecoder().raw_decode
LARGEST_PAYLOAD = 1024 * 1024

_REMEDY = "Pass what JSON can hold (text, numbers, booleans, None, lists, dicts), such as a key of the stored object."


class CallShape:
    """A function's signature: binds calls to it, writes and reads their arguments.

    Args:
        function: The task's function.
        context: Whether its first parameter is the JobContext, which no caller passes.

    Raises:
        TaskError: The function asks for the context but has no parameter for it.
    """

    def __init__(self, function: Callable[..., Any], *, context: bool) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if context:
            if not parameters:
                raise TaskError(
                    f"{self.name} is declared with context=True and has no parameter.",
                    "Give it a first parameter of type JobContext.",
                )
            parameters = parameters[1:]
        self.signature = signature.replace(parameters=parameters)
        self._hints = _hints(function)
        self._floats = [p.name for p in parameters if self._hints.get(p.name) in (float, float | None)]
        kinds = {p.kind for p in parameters}
        self.by_name = not kinds & {
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        }

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Bind a call and write its arguments.

        Returns:
            A JSON object by parameter name; defaults are left to the worker.

        Raises:
            InvalidArguments: An argument is missing, unknown, or of another type than annotated.
            InvalidPayload: An argument is not JSON, holds a NUL, or the whole is over 1 MiB.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}: {error}.", f"Call it as {self.name}{self.signature}.") from None
        for name, value in bound.arguments.items():
            self._check(name, value)
        return self._write(bound.arguments)

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read stored arguments into the call's positional and keyword arguments.

        Raises:
            InvalidArguments: The stored object does not fit the signature as it is now.
        """
        stored: dict[str, Any] = _read(text)[0]  # jsonb as text has no space around it
        for name in self._floats:
            if type(stored.get(name)) is int:  # jsonb writes 1e16 as 10000000000000000
                stored[name] = float(stored[name])
        if self.by_name:
            return (), stored
        bound = inspect.BoundArguments(self.signature, {})
        unknown = stored.keys() - self.signature.parameters.keys()
        if unknown:
            raise InvalidArguments(
                f"{self.name} has no parameter {', '.join(sorted(unknown))}.",
                f"Its signature is {self.signature}.",
            )
        for name, parameter in self.signature.parameters.items():
            if name in stored:
                variadic = parameter.kind is inspect.Parameter.VAR_POSITIONAL
                bound.arguments[name] = tuple(stored[name]) if variadic else stored[name]
        return bound.args, bound.kwargs

    def _check(self, name: str, value: object) -> None:
        kind = self.signature.parameters[name].kind
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD) or name not in self._hints:
            return
        if not fits(value, self._hints[name]):
            wanted = self.signature.parameters[name].annotation
            shown = wanted if isinstance(wanted, str) else inspect.formatannotation(wanted)
            raise InvalidArguments(
                f"{self.name}: {name}={_short(value)} is of type {type(value).__name__}, not {shown}.",
                f"Call it as {self.name}{self.signature}.",
            )

    def _write(self, arguments: Mapping[str, Any]) -> str:
        try:
            _check_keys(arguments)
            text = json.dumps(dict(arguments), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            size = len(text.encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidPayload(f"{self.name}: the arguments are not JSON ({_reason(error)}).", _REMEDY) from None
        if "\\u0000" in text and "\0" in text.replace("\\\\", "").replace("\\u0000", "\0"):
            raise InvalidPayload(
                f"{self.name}: the arguments hold a NUL character, which PostgreSQL's jsonb cannot store.",
                "Remove it.",
            )
        if size > LARGEST_PAYLOAD:
            raise InvalidPayload(
                f"{self.name}: the arguments take {size} bytes, and a job holds at most {LARGEST_PAYLOAD}.",
                "Store the data elsewhere and pass its key.",
            )
        return text


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names that exist only while type checking
        return {}


def _check_keys(value: object) -> None:
    """json.dumps writes a key 1 as "1", and the handler would get another dict than the caller gave."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {_short(key)} is of type {type(key).__name__}, not str")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
