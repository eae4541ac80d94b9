"""Where a task is, so that a child process can import it: module, file where the module is a program, and name.

Source of the rule for programs: multiprocessing's spawn, which imports the main file under another name, so that what
stands below ``if __name__ == "__main__"`` does not run again.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import NamedTuple

from pgqueue.model.errors import TaskError
from pgqueue.tasks import Declaration, Registry, Task
from pgqueue.tasks.declaring import Declaring
from pgqueue.tasks.program import this_program

_importing = threading.local()


class Module(NamedTuple):
    """A module as a child imports it.

    Attributes:
        name: As in an import; empty: it cannot be imported.
        file: Where the program is that it was run as, else None.
    """

    name: str
    file: str | None = None


class Address(NamedTuple):
    """Where a task is.

    Attributes:
        function: Qualified name of its function within the module.
        task: Name of the task, or the prefix of a route.
        home: Where its application is.
    """

    module: Module
    function: str
    task: str
    home: Module


def module_of_caller() -> str:
    """Return the name of the module that called the function that calls this; empty where there is none."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


def module_named(name: str) -> Module:
    """Return how a child imports what is a module of this name here."""
    if name != "__main__":
        return Module(name)
    program = this_program()
    return Module(program.name, None if program.file is None else str(program.file.resolve()))


def address_of(task: Declaration) -> Address:
    """Return where a task is."""
    home = Module("") if task.home is None else module_named(task.home.module)
    return Address(module_named(task.function.__module__), task.function.__qualname__, task.name, home)


def modules_of(tasks: Iterable[Declaration]) -> list[Module]:
    """Return the modules to import, in order: those that make the applications, then those that declare the tasks."""
    addresses = [address_of(task) for task in tasks]
    modules = [*(address.home for address in addresses), *(address.module for address in addresses)]
    return [module for module in dict.fromkeys(modules) if module.name]


def load(module: Module) -> ModuleType:
    """Import a module, of a program all but its main part.

    Raises:
        TaskError: It was typed into an interpreter.
        Exception: Whatever importing it raises.
    """
    if not module.name:
        raise TaskError(
            "A task that was typed into an interpreter cannot be imported by a child process.",
            "Write it into a file.",
        )
    _importing.now = True
    try:
        if module.file is None or module.name in sys.modules:
            return importlib.import_module(module.name)
        return _load_program(module.name, module.file)
    finally:
        _importing.now = False


def check_not_importing() -> None:
    """Refuse to start a worker and to enqueue from the code that a child process imports: each child would do it in turn.

    Raises:
        TaskError: It does.
    """
    if getattr(_importing, "now", False):
        raise TaskError(
            "A child process imported the application, and that started a worker or enqueued a job.",
            'Do it below if __name__ == "__main__": in the program.',
        )


def _load_program(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded


@cache
def find(address: Address) -> Declaration:
    """Import a task.

    Raises:
        TaskError: The module declares no such task.
        Exception: Whatever importing it raises.
    """
    module = load(address.module)
    there = _at(module, address.function)
    holders = [module, *([load(address.home)] if address.home.name else [])]
    for value in (there, *(value for holder in holders for value in vars(holder).values())):
        found = _declared(value, address.task)
        if found is not None:
            return found
    if isinstance(there, Task):  # shop/__main__.py names its tasks shop.… when it is run
        return there.declaration
    raise TaskError(
        f"The module {module.__name__} holds no task {address.task!r} when a child process imports it.",
        "Declare it at the top of the module, under a name that stays.",
    )


def _declared(value: object, name: str) -> Declaration | None:
    """Return the task of this name if a value is it, or the application that has it."""
    tasks = getattr(value, "tasks", None) if isinstance(value, Declaring) else None
    if isinstance(value, Task):
        found: Declaration | None = value.declaration
    elif isinstance(tasks, Registry):
        found = tasks.find(name)
    else:
        return None
    return found if found is not None and found.name == name else None


def _at(module: ModuleType, name: str) -> object:
    """Return what stands where a function was written."""
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
