"""Find the application that a command names: ``shop.jobs`` or ``shop.jobs:pgq``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from pgqueue.app import PgQueue
from pgqueue.model.errors import ConfigurationError


def load(name: str) -> PgQueue[object]:
    """Import the module and return its PgQueue.

    Args:
        name: A module, in which there is one PgQueue; or module:attribute.

    Raises:
        ConfigurationError: The module cannot be found, or holds no PgQueue of that name, or several.
    """
    module_name, _, attribute = name.partition(":")
    module = _import(module_name)
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, PgQueue):
            raise ConfigurationError(f"{module_name} has no PgQueue named {attribute!r}.", _choices(module))
        return _told_where(found, module_name)
    apps = {id(value): value for value in _apps(module).values()}
    if len(apps) != 1:
        raise ConfigurationError(f"{module_name} holds {len(apps)} PgQueue objects, not one.", _choices(module))
    return _told_where(next(iter(apps.values())), module_name)


def _told_where(pgq: PgQueue[object], module: str) -> PgQueue[object]:
    """Let child processes begin with the module that the command began with: it may set up more than the application."""
    pgq.module = module
    return pgq


def _apps(module: ModuleType) -> dict[str, PgQueue[object]]:
    return {name: value for name, value in vars(module).items() if isinstance(value, PgQueue)}


def _choices(module: ModuleType) -> str:
    names = [f"{module.__name__}:{name}" for name in _apps(module)]
    return f"Write {' or '.join(names)}." if names else "Name the module that makes it."


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{name!r} is not a module's name.", "Write it as in an import: shop.jobs.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        wanted = name.removesuffix(".py")
        raise ConfigurationError(
            f"There is no module {name!r} here.",
            f"Write {wanted}." if wanted != name else "Run the command where the module can be imported.",
        ) from None
