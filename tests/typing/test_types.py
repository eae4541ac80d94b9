"""Type checkers accept right.py and refuse every marked line of wrong.py; at run time the same mistakes end in a sentence."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from pgqueue import PgQueueError
from tests.support import ROOT

HERE = Path(__file__).parent
FILES = [str(HERE / "right.py"), str(HERE / "wrong.py")]
EXPECTED = "# expect error"


def marked(name: str, mark: str) -> dict[int, str]:
    """Return the lines of a file that carry a mark, with the text after it."""
    lines = (HERE / name).read_text("utf-8").splitlines()
    return {number: line.split(mark, 1)[1].strip() for number, line in enumerate(lines, 1) if mark in line}


def compare(found: dict[str, set[int]]) -> None:
    """Fail unless the lines with errors are exactly those marked."""
    assert found.get("right.py", set()) == set()
    wanted = set(marked("wrong.py", EXPECTED))
    assert len(wanted) >= 50
    refused = found.get("wrong.py", set())
    assert refused - wanted == set(), "refused, but not marked"
    assert wanted - refused == set(), "marked, but not refused"


def test_mypy_refuses_the_marked_lines_and_no_others() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", *FILES],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found: dict[str, set[int]] = {}
    for name, line in re.findall(r"^\S*?(\w+\.py):(\d+): error:", checked.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(int(line))
    assert checked.stderr == ""
    compare(found)


def test_pyright_refuses_the_marked_lines_and_no_others_and_shows_the_parameters_of_a_task() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *FILES],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found: dict[str, set[int]] = {}
    shown: dict[int, str] = {}
    for diagnostic in json.loads(checked.stdout)["generalDiagnostics"]:
        line = diagnostic["range"]["start"]["line"] + 1
        if diagnostic["severity"] == "error":
            found.setdefault(Path(diagnostic["file"]).name, set()).add(line)
        elif diagnostic["severity"] == "information":
            shown[line] = diagnostic["message"].partition(' is "')[2].removesuffix('"')
    compare(found)
    assert shown == marked("right.py", "# reveals")


def test_the_same_mistakes_end_at_run_time_in_one_clear_error(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    wrong = import_module("tests.typing.wrong")  # by name, so that no type checker follows
    assert len(wrong.MISTAKES) >= 30
    try:
        unclear = [fault for mistake in wrong.MISTAKES if (fault := unclear_end(mistake))]
    finally:
        wrong.pgq.close()
    assert unclear == []


def unclear_end(mistake: Callable[[], object]) -> str | None:
    """Make a mistake and say what is not clear about how it ends; None when all is well."""
    where = f"line {inspect.getsourcelines(mistake)[1]}"
    try:
        mistake()
    except PgQueueError as error:
        return None if len(str(error)) < 400 and "\n" not in str(error) else f"{where}: too long: {error}"
    except TypeError as error:  # a keyword that a function does not have is Python's own affair
        return None if "unexpected keyword" in str(error) else f"{where}: {error!r}"
    except Exception as error:  # noqa: BLE001 - what it is, is the finding
        return f"{where}: {error!r}"
    return f"{where}: not refused"
