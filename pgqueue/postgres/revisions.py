"""What a revision file does: execute its frozen SQL as it is."""

from __future__ import annotations

from pathlib import Path

_BLOCK, _TEXT = "$pgqueue_block$", "$pgqueue_text$"


def run(*files: Path) -> None:
    """Execute files in the migration that runs now: no bind parameters, so that % and : in their text mean nothing."""
    from alembic import op

    context = op.get_context()
    assert context.config is not None
    for file in files:
        text = file.read_text("utf-8").replace("{schema}", context.config.attributes["quoted"])
        if context.as_sql:
            context.impl.static_output(text)
        else:
            assert context.connection is not None
            context.connection.exec_driver_sql(_one_statement(text), execution_options={"no_parameters": True})


def _one_statement(text: str) -> str:
    """Return the file as a single statement: an application's own driver may take no more at a time, as asyncpg."""
    return f"do {_BLOCK} begin execute {_TEXT}{text}{_TEXT}; end {_BLOCK}"
