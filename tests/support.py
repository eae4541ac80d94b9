"""What tests of several kinds need: waiting without sleeping, calling SQL, running a program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pytest
from anyio import to_thread

from pgqueue.postgres.copying import LEAST
from tests.pooler import POOLED

ROOT = Path(__file__).resolve().parent.parent
COPIED = LEAST + 100  # jobs of a bulk that goes by COPY where it can

# Statement triggers on what changes while jobs run: the watcher is notified, so it never has to sleep.
_TRIGGERS = """
create function public.test_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('test_changed', tg_table_name);
  return null;
end $$;
"""
_TABLES = (
    "job",
    "job_history",
    "job_attempt",
    "lease",
    "ready",
    "scheduled",
    "worker",
    "worker_idle",
    "operator_action",
)


class Watch:
    """Waits until a query says yes, woken by triggers that it puts on the queue's tables."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __enter__(self) -> Watch:
        self._asking = psycopg.connect(self._dsn, autocommit=True)
        self._listening = psycopg.connect(self._dsn, autocommit=True)
        self._asking.execute(_TRIGGERS)
        for table in _TABLES:
            self._asking.execute(
                f"create trigger test_changed after insert or update or delete on pgqueue.{table} "
                "execute function public.test_changed()"
            )
        self._listening.execute("listen test_changed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asking.close()
        self._listening.close()

    def until(self, question: str, *parameters: Any, timeout: float = 30.0) -> Any:
        """Return the first value that the query gives which is true.

        Raises:
            AssertionError: It did not become true in time.
        """
        if POOLED and ("application_name = " in question or "worker_idle" in question):
            pytest.skip("behind a pooler of transactions nobody listens, and no connection has a name")
        deadline = time.monotonic() + timeout
        while True:
            row = self._asking.execute(question, parameters).fetchone()
            if row is not None and row[0]:
                return row[0]
            left = deadline - time.monotonic()
            assert left > 0, f"not true within {timeout} s: {question}"
            for _ in self._listening.notifies(timeout=min(left, 0.5), stop_after=1):
                pass

    async def auntil(self, question: str, *parameters: Any, timeout: float = 30.0) -> Any:
        """As ``until``, while the event loop goes on."""
        return await to_thread.run_sync(lambda: self.until(question, *parameters, timeout=timeout))


def run_program(
    arguments: Sequence[str], *, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pgqueue`` with these arguments to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pgqueue", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
