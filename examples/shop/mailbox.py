"""A real SMTP server on the loopback interface that keeps what it receives."""

from __future__ import annotations

import socket
from collections import Counter
from email import message_from_bytes
from types import TracebackType
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller

from examples.shop.mail import DOMAIN, HOST


class Letter(NamedTuple):
    """What a delivered mail says it is."""

    kind: str
    number: int
    message_id: str


class Mailbox:
    """Runs the server for the length of a ``with`` block.

    Attributes:
        letters: Every mail received, in order, duplicates included.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.port = _free_port()
        self._controller = Controller(self, hostname=HOST, port=self.port, server_hostname=DOMAIN)

    def __enter__(self) -> Mailbox:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail; called by the server."""
        mail = message_from_bytes(envelope.content)
        self.letters.append(Letter(mail["X-Shop-Kind"], int(mail["X-Shop-Number"]), mail["Message-ID"]))
        return "250 kept"

    def delivered(self) -> Counter[str]:
        """Return how many different mails of each kind arrived."""
        return Counter(letter.kind for letter in set(self.letters))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
