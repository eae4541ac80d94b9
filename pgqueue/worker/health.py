"""Answers over HTTP how the worker is, from a thread of its own, so that a blocked event loop is told truthfully."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pgqueue.model.errors import ConfigurationError, InvalidOption
from pgqueue.worker.observed import Observed

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})")
_LARGEST_PORT = 65_535
_PATIENCE = 5.0


def parse_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, :PORT or PORT; an empty host is all of this machine's addresses.

    Raises:
        InvalidOption: It is none of them.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _LARGEST_PORT:
        raise InvalidOption(
            f"health={text!r} is not an address as HOST:PORT, :PORT or PORT.",
            "Write 127.0.0.1:8080, [::1]:8080 or :8080.",
        )
    return (match["host"] or "").strip("[]"), int(match["port"])


class HealthServer:
    """Serves ``/live``, ``/ready`` and ``/``.

    Args:
        address: HOST:PORT, :PORT or PORT.
        seen: Who is asked about.

    Raises:
        InvalidOption: The address cannot be read.
        ConfigurationError: It cannot be listened on.
    """

    def __init__(self, address: str, seen: Observed) -> None:
        host, port = parse_address(address)
        try:
            self._server = _bind(host, port, seen)
        except OSError as error:
            raise ConfigurationError(
                f"The health address {address!r} cannot be listened on: {error.strerror}.",
                "Name a free port on an address of this machine.",
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="pgqueue health", daemon=True)

    @property
    def address(self) -> str:
        """Where it listens; port 0 lets the system choose one."""
        host, port = map(str, self._server.server_address[:2])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, host: str, port: int, seen: Observed) -> None:
        self.address_family = family
        self.seen = seen
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which may take long."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version, sys_version = "pgqueue", ""

    def do_GET(self) -> None:
        """Answer, also where a defect of ours keeps us from it."""
        try:
            status, value = self._reply(self.path.partition("?")[0])
        except Exception as error:  # noqa: BLE001 - told to who asks
            status, value = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"{type(error).__name__}: {error}"}
        self._answer(status, value)

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    @property
    def _seen(self) -> Observed:
        assert isinstance(self.server, _Server)
        return self.server.seen

    def log_message(self, format: str, *args: object) -> None:
        """A probe every second is no news."""

    def _reply(self, path: str) -> tuple[HTTPStatus, Mapping[str, Any]]:
        seen = self._seen
        if path == "/":
            return HTTPStatus.OK, {"live": seen.is_live, "ready": seen.is_ready, **seen.status()}
        if path == "/live":
            return self._yes_or_no("live", yes=seen.is_live)
        if path == "/ready":
            return self._yes_or_no("ready", yes=seen.is_ready)
        return HTTPStatus.NOT_FOUND, {"error": "Ask for /, /live or /ready."}

    def _yes_or_no(self, name: str, *, yes: bool) -> tuple[HTTPStatus, Mapping[str, Any]]:
        status = HTTPStatus.OK if yes else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {name: yes, "status": self._seen.summary()}

    def _answer(self, status: HTTPStatus, value: Mapping[str, Any]) -> None:
        body = json.dumps(value, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _bind(host: str, port: int, seen: Observed) -> _Server:
    """Listen; on all addresses with IPv6 too, where there is any."""
    if host:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(family, host, port, seen)
    if socket.has_dualstack_ipv6():
        try:
            return _Server(socket.AF_INET6, "::", port, seen)
        except OSError:  # switched off, or the port is taken, which the next try says
            pass
    return _Server(socket.AF_INET, "0.0.0.0", port, seen)  # noqa: S104 - what an empty host asks for
