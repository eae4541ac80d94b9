"""The doctor: whether the storage is as jobs need it, and this installation as fast as it may be."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from pgqueue.backend import Finding, InspectBackend


def now() -> datetime:
    """Return the time by the clock of this machine."""
    return datetime.now(UTC)


def diagnose(backend: InspectBackend, clock: Callable[[], datetime] = now) -> list[Finding]:
    """Return what every check finds, the storage first; nothing is raised because something is wrong.

    Args:
        clock: The time by the clock of this machine.
    """
    return [*backend.diagnose(clock), _python(), _loop()]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_implementation()} {platform.python_version()}")


def _loop() -> Finding:
    if sys.platform == "win32":
        return Finding("loop", "ok", "asyncio's own; uvloop is not made for this system")
    try:
        return Finding("loop", "ok", f"uvloop {version('uvloop')}, for pgqueue worker")
    except PackageNotFoundError:
        remedy = "Where workers run: pip install 'pgqueue[uvloop]'"
        return Finding("loop", "warn", "uvloop is not installed: it halves the cost of an event", remedy)
