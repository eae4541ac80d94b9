"""What the tests of keys share: who holds a key, and statements that wait for one."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import psycopg

from pgqueue import Job, Task, Unique

Connection = psycopg.Connection[Any]
Sending = Task[..., None]

# A key that is held until its job starts or ends, though that job is no longer live.
LEAKED = """
    select k.queue, k.key, k.job_id, k.scope from pgqueue.job_key k
    where k.scope in ('started', 'finished') and k.until > clock_timestamp()
      and not exists (select from pgqueue.job j where j.id = k.job_id)
"""
BLOCKED = "select true from pg_locks where not granted and pid = %s"
PATIENCE = 10.0


class Row(NamedTuple):
    """A row of job_key."""

    queue: str
    key: str
    job_id: str
    scope: str
    seconds: float | None


def rows(connection: Connection) -> list[Row]:
    """Return who holds what, and for how many seconds from when its job was written; None: without an end."""
    found = connection.execute(
        """
        select k.queue, k.key, k.job_id::text, k.scope,
          case when isfinite(k.until) then
            round(extract(epoch from k.until - coalesce(j.enqueued_at, h.enqueued_at)), 1)::float8 end
        from pgqueue.job_key k left join pgqueue.job j on j.id = k.job_id left join pgqueue.job_history h on h.id = k.job_id
        order by k.queue, k.key
        """
    )
    return [Row(*row) for row in found]


def leaked(connection: Connection) -> list[Any]:
    """Return the keys that nobody will ever free."""
    return connection.execute(LEAKED).fetchall()


def let_pass(connection: Connection) -> None:
    """Let the periods of all keys be over."""
    connection.execute("update pgqueue.job_key set until = clock_timestamp() where until < 'infinity'")


def second(send: Sending, job: Job[Any], unique: Unique, key: str = "order-42") -> str:
    """Enqueue once more under a key; say whether the job held it, or it was free."""
    again = send.using(key=key, unique=unique).enqueue(2)
    if again.created:
        assert again.id != job.id
        return "free"
    assert again.id == job.id
    return "held"


def pid(connection: Connection) -> int:
    """Return the process that serves a connection."""
    return connection.info.backend_pid


def wait_until_blocked(database: Connection, process: int) -> None:
    """Wait until a server process waits for a lock.

    Raises:
        AssertionError: It does not.
    """
    deadline = time.monotonic() + PATIENCE
    while database.execute(BLOCKED, (process,)).fetchone() is None:
        assert time.monotonic() < deadline, f"process {process} waits for nothing"
