"""A real PgBouncer in front of a test's server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

PORT = 6432
START_SECONDS = 10.0
POOLED = os.environ.get("PGQUEUE_TEST_POOLER") == "1"  # the suite runs behind one that lends a server for a transaction
PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
MISSING = "PgBouncer is not installed: apt-get install pgbouncer"
# It refuses to run as root; in a user namespace root is called nobody, which needs no account.
_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")

needs_pooler = pytest.mark.skipif(PROGRAM is None, reason=MISSING)


class Pooler:
    """One PgBouncer for all databases of a server.

    Args:
        dsn: The server.
        mode: "transaction", "session" or "statement".
        settings: Others of its settings.
    """

    def __init__(self, dsn: str, mode: str, settings: Mapping[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pgb-", dir="/tmp"))
        server = conninfo_to_dict(dsn)["host"]
        users = self._folder / "users"
        users.write_text("".join(f'"{name}" ""\n' for name in ("postgres", "worker_role")))
        chosen = {
            "listen_port": str(PORT),
            "unix_socket_dir": str(self._folder),
            "auth_type": "trust",
            "auth_file": str(users),
            "pool_mode": mode,
            "max_client_conn": "1000",
            "default_pool_size": "40",
            "logfile": str(self._folder / "log"),
            **settings,
        }
        lines = ["[databases]", f"* = host={server}", "[pgbouncer]", *(f"{n} = {v}" for n, v in chosen.items())]
        (self._folder / "ini").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        assert PROGRAM is not None, MISSING
        prefix = _AS_NOBODY if os.geteuid() == 0 else ()
        self._process = subprocess.Popen(
            [*prefix, PROGRAM, "-q", str(self._folder / "ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"PgBouncer did not start: {self.log()}"
            assert time.monotonic() < deadline, f"PgBouncer does not listen: {self.log()}"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._folder / f".s.PGSQL.{PORT}")) == 0

    def stop(self) -> None:
        """End it; the servers that it held are closed."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=10)

    def close(self) -> None:
        """End it and remove its folder."""
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it has written down."""
        log = self._folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def dsn_of(self, dsn: str) -> str:
        """Return the URL of the same database behind it."""
        given = conninfo_to_dict(dsn)
        return f"postgresql://{given['user']}@/{given['dbname']}?host={self._folder}&port={PORT}"


@contextmanager
def pooled(dsn: str, mode: str = "transaction", settings: Mapping[str, str] | None = None) -> Iterator[Pooler]:
    """Run a PgBouncer for the length of a ``with`` block."""
    pooler = Pooler(dsn, mode, settings or {})
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.close()
