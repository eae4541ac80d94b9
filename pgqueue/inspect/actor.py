"""Who acts, as operator_action names it."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """Return the operating system's user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
