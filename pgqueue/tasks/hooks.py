"""What an application may have called around a run, or when one has ended."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from pgqueue.model.conversion import short
from pgqueue.model.errors import TaskError

H = TypeVar("H")

_SECOND = {"on_success": "result", "middleware": "call"}


def check_hook(function: H, name: str) -> H:
    """Return a hook if it can be called as one.

    Args:
        function: A plain or async function of two parameters.
        name: on_retry, on_dead, on_success or middleware; named in the error.

    Raises:
        TaskError: It is no function, nothing would run it, or it does not take two arguments.
    """
    hook: Any = function
    if not callable(hook):
        raise TaskError(f"{name} was given {short(hook)}, which is no function.", f"Write @{name} above a def.")
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise TaskError(f"{name}: {short(hook)} has a yield, and nothing would run it.", "Write a def or async def.")
    try:
        inspect.signature(hook).bind(None, None)
    except TypeError as error:
        second = _SECOND.get(name, "error")
        raise TaskError(
            f"{name}: {short(hook)} cannot be called with the context and the {second} ({error}).",
            "Give it these two parameters.",
        ) from None
    except ValueError:  # written in C, and it does not say what it takes
        pass
    return function
