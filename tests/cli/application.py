"""An application for the command's tests."""

from __future__ import annotations

from pgqueue import PgQueue

pgq = PgQueue()


@pgq.task(name="greet")
async def greet(name: str) -> None:
    """Do nothing."""
