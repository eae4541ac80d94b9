"""What a revision file does: execute its frozen SQL as it is."""

from __future__ import annotations

import re
from pathlib import Path

_FUNCTION = r"^create (?:or replace )?function {{schema}}\.{}\(.*?^(?:end )?\$\$;"
_BLOCK, _TEXT = "$pgqueue_block$", "$pgqueue_text$"


def run(*files: Path) -> None:
    """Execute files in the migration that runs now."""
    for file in files:
        _execute(file.read_text("utf-8"))


def restore(folder: Path, *functions: str) -> None:
    """Make functions again as an earlier revision made them.

    Args:
        folder: The revision's files.
        functions: Their names; each stands once in the files.
    """
    text = "\n".join(file.read_text("utf-8") for file in sorted(folder.glob("[0-9]*.sql")))
    for name in functions:
        (found,) = re.findall(_FUNCTION.format(name), text, re.MULTILINE | re.DOTALL)
        _execute(found.replace("create function", "create or replace function", 1))


def _execute(text: str) -> None:
    """Execute SQL in the migration that runs now: no bind parameters, so that % and : in it mean nothing."""
    from alembic import op

    context = op.get_context()
    assert context.config is not None
    text = text.replace("{schema}", context.config.attributes["quoted"])
    if context.as_sql:
        context.impl.static_output(text)
    else:
        assert context.connection is not None
        context.connection.exec_driver_sql(_one_statement(text), execution_options={"no_parameters": True})


def _one_statement(text: str) -> str:
    """Return the file as a single statement: an application's own driver may take no more at a time, as asyncpg."""
    return f"do {_BLOCK} begin execute {_TEXT}{text}{_TEXT}; end {_BLOCK}"
