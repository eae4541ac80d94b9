"""Tells a service manager how the worker is, by systemd's protocol.

Source of the rules: sd_notify(3) and sd_watchdog_enabled(3). A datagram of lines NAME=value goes to the socket that
NOTIFY_SOCKET names; "@" stands for the zero byte of an abstract one. WATCHDOG=1 has to come within WATCHDOG_USEC, if
WATCHDOG_PID is this process. Names that begin with X_ are ours: the parent of several processes is told more.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

from pgqueue.worker.observed import Observed

FACTS = "X_PGQUEUE"


class Notifier:
    """Speaks to one socket.

    Args:
        connection: A connected datagram socket.
        with_facts: Whether to send all that is known too, as the parent wants it.
    """

    def __init__(self, connection: socket.socket, *, with_facts: bool = False) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._with_facts = with_facts
        self._said: dict[str, str] = {}

    def follow(self, seen: Observed) -> None:
        """Say what changed, and that it is alive while it is sound."""
        lines = []
        if seen.is_ready:
            lines += self._news("READY", "1")
        if seen.is_stopping:
            lines += self._news("STOPPING", "1")
        lines += self._news("STATUS", seen.summary())
        if seen.is_sound:
            lines.append("WATCHDOG=1")
        if self._with_facts:
            lines.append(f"{FACTS}={json.dumps({'ready': seen.is_ready, **seen.status()})}")
        with suppress(BlockingIOError):  # who does not read is told later
            self._connection.send("\n".join(lines).encode())

    def close(self) -> None:
        """Say nothing more."""
        self._connection.close()

    def _news(self, name: str, value: str) -> list[str]:
        if self._said.get(name) == value:
            return []
        self._said[name] = value
        return [f"{name}={value}"]


def service_manager(environment: MutableMapping[str, str]) -> Notifier | None:
    """Return the way to the service manager that started this process; None where there is none.

    Args:
        environment: NOTIFY_SOCKET is taken out of it, so that what handlers start does not speak in our name.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        connection.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError:  # inherited from one that is gone
        connection.close()
        return None
    return Notifier(connection)


def watchdog_seconds(environment: MutableMapping[str, str]) -> float | None:
    """Return within how many seconds a watchdog wants to hear of this process; None where there is none."""
    length, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not length.isdecimal() or int(length) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(length) / 1_000_000
