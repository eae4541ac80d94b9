"""The catalogue of errors: all exported, each message with what is wrong and what to do."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pgqueue
from pgqueue.model import errors
from tests.support import ROOT

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == "pgqueue"
}
OURS = {name for name, kind in CLASSES.items() if issubclass(kind, errors.PgQueueError)}


def test_every_error_is_exported() -> None:
    assert set(errors.__all__) == CLASSES.keys()
    for name, kind in CLASSES.items():
        assert getattr(pgqueue, name) is kind
        assert name in pgqueue.__all__


def test_every_error_says_in_its_docstring_what_it_means() -> None:
    for kind in CLASSES.values():
        assert (kind.__doc__ or "").splitlines()[0].endswith("."), kind


def test_an_error_is_also_what_python_calls_such_a_thing() -> None:
    assert issubclass(pgqueue.InvalidOption, ValueError)
    assert issubclass(pgqueue.InvalidPayload, ValueError)
    assert issubclass(pgqueue.InvalidArguments, TypeError)
    assert issubclass(pgqueue.HandleError, TypeError)
    assert issubclass(pgqueue.JobNotFound, LookupError)


def test_the_message_is_the_problem_and_the_remedy() -> None:
    error = pgqueue.InvalidOption("priority=10 is too high.", "Pass 9.")
    assert str(error) == "priority=10 is too high. Pass 9."
    assert (error.problem, error.remedy) == ("priority=10 is too high.", "Pass 9.")


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield every place of the package that makes one of our errors."""
    for path in sorted((ROOT / "pgqueue").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OURS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def pieces(node: ast.expr) -> str:
    """Return a message as it stands in the source, with … where a value is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(pieces(part) for part in node.values)
    return "…"


def fault(call: ast.Call) -> str | None:
    """Return what is wrong with a message, or None."""
    if len(call.args) < 2:
        return "not a problem and a remedy"
    problem, remedy = (pieces(argument) for argument in call.args[:2])
    if not problem.endswith((".", "…")):  # may begin with the name of an option, so in lower case
        return f"not a sentence: {problem}"
    if not (remedy[0].isupper() or remedy[0].isdigit() or remedy == "…") or not (
        remedy.endswith((".", "…")) or ": " in remedy
    ):
        return f"not a remedy: {remedy}"
    return None


def test_every_message_is_a_sentence_that_says_what_is_wrong_and_one_that_says_what_to_do() -> None:
    places = list(raised())
    assert len(places) > 30
    assert [(place, found) for place, call in places if (found := fault(call))] == []
