"""From a call to a stored payload and back: arguments as a JSON object by parameter name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from inspect import Parameter
from types import SimpleNamespace
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from pgqueue.model.annotations import fits, shown
from pgqueue.model.conversion import Converter, Misfit, reason, short, wrong_type
from pgqueue.model.converters import FLOAT, converter_of
from pgqueue.model.errors import InvalidArguments, InvalidOption, InvalidPayload, SignatureMismatch, TaskError
from pgqueue.model.writing import write_json

_read = json.JSONDecoder().raw_decode
LARGEST_PAYLOAD = 1024 * 1024
LARGEST_RESULT = 64 * 1024

_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_CONVERTED = "datetime, UUID, Decimal, bytes, an enum, a dataclass or a model"


class CallShape:
    """A function's signature: binds calls to it, writes and reads their arguments and its results.

    Args:
        function: The task's function.
        context: Whether its first parameter is the JobContext, which no caller passes.

    Raises:
        TaskError: The function asks for the context but has no parameter for it, or an annotation cannot be stored.
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
        self._function = function
        self._hints = _hints(function)
        self._converters = self._prepared(parameters)
        self._checked = {
            p.name: self._hints[p.name]
            for p in parameters
            if p.name in self._hints and p.name not in self._converters and p.kind not in _VARIADIC
        }
        self._floats = [name for name, hint in self._checked.items() if hint in (float, float | None)]
        self._converts = bool(self._floats or self._converters)
        kinds = {p.kind for p in parameters}
        self.by_name = not kinds & {Parameter.POSITIONAL_ONLY, *_VARIADIC}
        self._names = {p.name for p in parameters}
        self._required = {p.name for p in parameters if p.default is Parameter.empty and p.kind not in _VARIADIC}
        self._positional = [p.name for p in parameters if p.kind is not Parameter.KEYWORD_ONLY]

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = False) -> str:
        """Bind a call and write its arguments.

        Args:
            defaults: Whether to write those of parameters that the call leaves out; else they are left to the worker.

        Returns:
            A JSON object by parameter name.

        Raises:
            InvalidArguments: An argument is missing, unknown, or of another type than annotated.
            InvalidPayload: An argument is not JSON, holds a NUL, or the whole is over 1 MiB.
        """
        arguments = self._bound(args, kwargs, defaults=defaults)
        checked = self._checked
        for name, value in arguments.items():
            if name in checked and not fits(value, checked[name]):
                wanted = shown(self.signature.parameters[name].annotation)
                raise InvalidArguments(f"{self.name}: {wrong_type(value, wanted).told(name)}.", self._called_as())
        if self._converters:
            for name in self._converters.keys() & arguments.keys():
                arguments[name] = self._written(name, arguments[name])
        return write_json(arguments, self.name, "the arguments", LARGEST_PAYLOAD, self._remedy)

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool) -> dict[str, Any]:
        """Bind a call. Most are plain and complete; ``Signature.bind`` takes a third of an enqueue, so it is for the others."""
        if self.by_name and not defaults and len(args) <= len(self._positional):
            arguments = dict(zip(self._positional, args, strict=False))
            if (
                self._required <= arguments.keys() | kwargs.keys() <= self._names
                and not arguments.keys() & kwargs.keys()
            ):
                return {**arguments, **kwargs}
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}: {error}.", self._called_as()) from None
        if defaults:
            bound.apply_defaults()
        return bound.arguments

    def check_names(self, names: Sequence[str] | None) -> None:
        """Refuse names that are no parameters.

        Raises:
            InvalidOption: One is none.
        """
        unknown = [name for name in names or () if name not in self.signature.parameters]
        if unknown:
            raise InvalidOption(
                f"{self.name} has no parameter {', '.join(map(repr, unknown))} to be unique by.",
                f"Its signature is {self.signature}.",
            )

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read stored arguments into the call's positional and keyword arguments.

        Raises:
            SignatureMismatch: The stored object has other parameters than the signature as it is now.
            InvalidArguments: A value is not what the signature says, or the object cannot be read.
        """
        stored = self.read(text)
        if not self._required <= stored.keys() <= self._names:
            raise self._mismatch(stored)
        if self._converts:
            self._convert(stored)
        if self.by_name:
            return (), stored
        bound = inspect.BoundArguments(self.signature, {})
        for name, parameter in self.signature.parameters.items():
            if name in stored:
                variadic = parameter.kind is Parameter.VAR_POSITIONAL
                bound.arguments[name] = tuple(stored[name]) if variadic else stored[name]
        return bound.args, bound.kwargs

    def read(self, text: str) -> dict[str, Any]:
        """Return the stored arguments as JSON holds them.

        Raises:
            InvalidArguments: They cannot be read.
        """
        try:
            stored: dict[str, Any] = _read(text)[0]  # jsonb as text has no space around it
        except (ValueError, RecursionError) as error:  # written by SQL: a number of 4301 digits, 1000 lists in lists
            raise InvalidArguments(
                f"{self.name}: the stored arguments cannot be read ({reason(error)}).",
                "Cancel the job and enqueue it with arguments that JSON and Python can hold.",
            ) from None
        return stored

    def _mismatch(self, stored: Mapping[str, Any]) -> SignatureMismatch:
        """Return what is said of parameters that this version has not, or needs and was not given."""
        unknown, missing = sorted(stored.keys() - self._names), sorted(self._required - stored.keys())
        problems = [
            f"{kind} {', '.join(map(short, names))}"
            for kind, names in (("has no parameter", unknown), ("needs", missing))
            if names
        ]
        return SignatureMismatch(
            f"{self.name} {' and '.join(problems)}, unlike the stored arguments.",
            f"Run a worker of the version that enqueued the job; here the signature is {self.signature}.",
        )

    def encode_result(self, value: object) -> str | None:
        """Write what the function returned, by its return annotation.

        Returns:
            JSON, or None for None.

        Raises:
            InvalidPayload: It is no JSON, not what is annotated, or larger than 64 KiB.
        """
        if value is None:
            return None
        if self._result is not None:
            try:
                value = self._result.write(value)
            except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
                problem = _told(self.name, "the result", value, error)
                raise InvalidPayload(problem, "Return what the task's annotation says.") from None
        return write_json(value, self.name, "the result", LARGEST_RESULT, _remedy_of_result)

    def decode_result(self, stored: object) -> Any:
        """Return the result as the function returned it.

        Args:
            stored: What JSON holds for it, or None.

        Raises:
            InvalidPayload: It does not fit the return annotation as it is now.
        """
        if stored is None or self._result is None:
            return stored
        try:
            return self._result.read(stored)
        except Exception as error:  # noqa: BLE001 - as in encode_result
            problem = _told(self.name, "the stored result", stored, error)
            raise InvalidPayload(problem, "Read it with the declaration that the task had when the job ran.") from None

    @cached_property
    def _result(self) -> Converter | None:
        """None for plain JSON. What cannot be stored matters only to who returns such a value and asks for it."""
        annotation = self._hints.get("return", Any)
        if annotation in (float, float | None):
            return FLOAT
        try:
            return converter_of(annotation, self._full.get("return", Any))
        except TaskError:
            return None

    @cached_property
    def _full(self) -> dict[str, Any]:
        """The hints with what ``Annotated`` says, for pydantic and msgspec."""
        return _hints(self._function, include_extras=True)

    def _prepared(self, parameters: list[Parameter]) -> dict[str, Converter]:
        prepared: dict[str, Converter] = {}
        for parameter in parameters:
            hint = _of_all(parameter, self._hints.get(parameter.name, Any))
            try:
                converter = converter_of(hint, _of_all(parameter, self._full.get(parameter.name, Any)))
            except TaskError as error:
                raise TaskError(f"{self.name}: the parameter {parameter.name}: {error.problem}", error.remedy) from None
            if converter is not None:
                variadic = parameter.kind is Parameter.VAR_POSITIONAL
                prepared[parameter.name] = _of_tuple(converter) if variadic else converter
        return prepared

    def _written(self, name: str, value: object) -> Any:
        try:
            return self._converters[name].write(value)
        except RecursionError:  # of a cycle, too
            raise InvalidPayload(
                f"{self.name}: {name} is nested too deeply, or holds itself.",
                "Pass a flat list, or the key of the stored object.",
            ) from None
        except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
            raise InvalidArguments(_told(self.name, name, value, error), self._called_as()) from None

    def _convert(self, stored: dict[str, Any]) -> None:
        name = ""
        try:
            for name in self._floats:
                if type(stored.get(name)) is int:  # jsonb writes 1e16 as 10000000000000000
                    stored[name] = float(stored[name])
            for name, converter in self._converters.items():
                if name in stored:
                    stored[name] = converter.read(stored[name])
        except Exception as error:  # noqa: BLE001 - constructors and validators are the user's code
            problem = _told(self.name, f"the stored {name}", stored[name], error)
            raise InvalidArguments(problem, f"Its signature is {self.signature}.") from None

    def _called_as(self) -> str:
        return f"Call it as {self.name}{self.signature}."

    def _remedy(self, arguments: Any) -> str:
        """Say what to do about arguments that are not JSON."""
        for name in arguments:
            annotation = self.signature.parameters[name].annotation
            if annotation is not Parameter.empty and name not in self._hints and not _is_json(arguments[name]):
                return f"Import {shown(annotation)} at run time, not only for type checkers: {name} is stored by annotation."
        return f"Pass what JSON can hold, or annotate the parameter with the type, if it is {_CONVERTED}."


def _remedy_of_result(value: object) -> str:
    return f"Return what JSON can hold, or annotate the return type, if it is {_CONVERTED}."


def _of_all(parameter: Parameter, hint: Any) -> Any:
    """Return the annotation of everything that a parameter collects."""
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return list[hint]
    if parameter.kind is Parameter.VAR_KEYWORD:
        return get_args(hint)[0] if get_origin(hint) is Unpack else dict[str, hint]
    return hint


def _of_tuple(of_list: Converter) -> Converter:
    return Converter(of_list.accepts, lambda value: of_list.write(list(value)), of_list.read)


def _hints(function: Callable[..., Any], *, include_extras: bool = False) -> dict[str, Any]:
    """Return the annotations that can be resolved; some exist only while type checking."""
    function = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = SimpleNamespace(__annotations__={name: annotation})
        scope = getattr(function, "__globals__", {})
        try:
            hint = get_type_hints(alone, globalns=scope, include_extras=include_extras)[name]
            hash(hint)
        except (NameError, TypeError, AttributeError, SyntaxError):
            continue
        found[name] = hint
    return found


def _told(task: str, name: str, value: object, error: Exception) -> str:
    misfit = error if isinstance(error, Misfit) else Misfit(value, f"cannot be used ({reason(error)})")
    return f"{task}: {misfit.told(name)}."


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
