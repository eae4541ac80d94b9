"""Where code runs."""

from __future__ import annotations

import asyncio


def is_in_a_loop() -> bool:
    """Say whether an event loop runs in this thread, which a call that waits would block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
