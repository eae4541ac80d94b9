"""What the tests of the SQL functions share: calls by name, what they stored, what they say when they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]

TYPES = {
    "queue": "text",
    "priority": "integer",
    "delay": "interval",
    "run_at": "timestamptz",
    "max_retries": "integer",
    "timeout": "interval",
    "headers": "jsonb",
    "tags": "text[]",
    "key": "text",
    "scope": "text",
    "period": "interval",
    "on_conflict": "text",
    "deadline": "timestamptz",
    "expires_at": "timestamptz",
}
# Without what two jobs may never share; times as distances in seconds.
FACTS = """
    select to_jsonb(j) - array['id', 'enqueued_at', 'run_at'] as facts,
      extract(epoch from greatest(j.run_at - j.enqueued_at, '0 s'))::float8,
      (select array_agg(row(r.queue, r.priority, r.run)::text) from pgqueue.ready r where r.job_id = j.id),
      (select array_agg(row(s.queue, s.run, s.due_at = j.run_at)::text) from pgqueue.scheduled s where s.job_id = j.id),
      (select row(k.queue, k.key, k.scope, isfinite(k.until))::text from pgqueue.job_key k where k.job_id = j.id),
      (select extract(epoch from k.until - j.enqueued_at)::float8
        from pgqueue.job_key k where k.job_id = j.id and isfinite(k.until))
    from pgqueue.job j where j.id = %s::bigint
"""


def first(connection: Connection, query: str, *parameters: Any) -> Any:
    """Return the first column of the first row."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None
    return row[0]


def by_name(connection: Connection, options: Mapping[str, Any], task: str = "send", args: Any = None) -> int:
    """Call enqueue with named parameters; return the id."""
    named = "".join(f", {name} => %({name})s::{TYPES[name]}" for name in options)
    written = {name: _json(value) if name == "headers" else value for name, value in options.items()}
    call = f"select pgqueue.enqueue(%(task)s, %(args)s::jsonb{named})"
    row = connection.execute(call.encode(), {"task": task, "args": _json(args or {"user_id": 1}), **written}).fetchone()
    assert row is not None
    return int(row[0])


def in_bulk(connection: Connection, *jobs: Any) -> list[tuple[int, int, bool]]:
    """Call enqueue_many; return position, id and whether it was created."""
    found = connection.execute("select * from pgqueue.enqueue_many(%s::jsonb)", (_json(jobs),)).fetchall()
    return [(position, job_id, created) for position, job_id, created in found]


class About(float):
    """Seconds, equal when they are about the same: two jobs are never written at the same instant."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) < 30

    __hash__ = None  # type: ignore[assignment]


def facts(connection: Connection, job_id: object) -> Any:
    """Return a job with its place and its key."""
    row = connection.execute(FACTS, (job_id,)).fetchone()
    return None if row is None else tuple(About(value) if isinstance(value, float) else value for value in row)


def counted(connection: Connection) -> Any:
    """Return how many jobs, places and keys there are."""
    return connection.execute(
        """
        select (select count(*) from pgqueue.job), (select count(*) from pgqueue.job_key),
          (select count(*) from pgqueue.ready) + (select count(*) from pgqueue.scheduled)
        """
    ).fetchone()


def told(refusal: pytest.ExceptionInfo[psycopg.Error]) -> str:
    """Return what a refusal says; it must be a sentence with the value and the rule, and one that says what to do."""
    message = refusal.value.diag.message_primary or ""
    assert message.count(". ") == 1, message
    assert message.endswith("."), message
    return message


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
