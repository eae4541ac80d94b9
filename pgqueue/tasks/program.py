"""What ``__main__`` is: the name and the file of the program that runs here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """The program that runs here.

    Attributes:
        name: As in an import; empty in an interpreter.
        file: What was run, unless it was run by that name: ``python -m shop.worker``.
    """

    name: str
    file: Path | None


def this_program() -> Program:
    """Return the program that runs here."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return Program(str(spec.name), None)
    file = getattr(main, "__file__", None)
    return Program("", None) if file is None else Program(Path(file).stem, Path(file))
