"""An application whose child processes do not get through its import before the test opens the gate."""

from __future__ import annotations

import os

import psycopg

from pgqueue import PgQueue
from tests.worker.crew import GATE

FIRST = os.environ.get("RUNNING_SLOW") or str(os.getpid())  # who imported it first: the worker itself
os.environ["RUNNING_SLOW"] = FIRST
if int(FIRST) != os.getpid():
    with psycopg.connect(os.environ["PGQUEUE_DSN"], autocommit=True) as connection:
        connection.execute("select pg_advisory_lock_shared(%s)", (GATE,))

pgq = PgQueue()


@pgq.task(executor="process")
def compute() -> None:
    """Be why there are child processes."""
