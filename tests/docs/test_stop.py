"""A stop ends the process in the time that docs/running.md states, also with a handler that does not let go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support import ROOT

# 0.1 s for running jobs, 2 s for their clean-up; the rest is the start and end of Python on a busy machine.
PATIENCE = 15.0
MODULE = """
import asyncio
import threading
from pgqueue import PgQueue

pgq = PgQueue()

@pgq.task(name="thread")
def never_returns() -> None:
    print("running", flush=True)
    threading.Event().wait()

@pgq.task(name="loop")
async def never_listens() -> None:
    print("running", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.parametrize("task", ["thread", "loop"])
def test_a_handler_that_does_not_let_go_does_not_keep_the_process(
    task: str, dsn: str, database: psycopg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "stubborn.py").write_text(MODULE)
    database.execute("select pgqueue.enqueue(%s)", (task,))
    command = [sys.executable, "-m", "pgqueue", "worker", "stubborn:pgq", "--dsn", dsn, "--stop-timeout", "0.1s"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == "running\n"
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(PATIENCE) == 3
        finally:
            worker.kill()
