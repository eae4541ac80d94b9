"""The public views as SQLAlchemy tables."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    Interval,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pgqueue.postgres.explain import DEFAULT_SCHEMA
from pgqueue.postgres.statements import check_schema


class Views(NamedTuple):
    """The public views of one schema, and the metadata that holds them."""

    metadata: MetaData
    all_jobs: Table
    all_attempts: Table
    queue_stats: Table


def views(schema: str = DEFAULT_SCHEMA) -> Views:
    """Return the public views of a schema, in a metadata of their own. Nothing is read from a database.

    Raises:
        ConfigurationError: The schema's name is not a plain one.
    """
    metadata = MetaData(schema=check_schema(schema))
    return Views(metadata, _all_jobs(metadata), _all_attempts(metadata), _queue_stats(metadata))


def _all_jobs(metadata: MetaData) -> Table:
    return Table(
        "all_jobs",
        metadata,
        Column("id", BigInteger),
        Column("state", Text),
        Column("queue", Text),
        Column("task", Text),
        Column("priority", SmallInteger),
        _instant("enqueued_at"),
        _instant("run_at"),
        _instant("started_at"),
        _instant("finished_at"),
        Column("attempt", SmallInteger),
        Column("run", Integer),
        Column("crashes", SmallInteger),
        Column("max_retries", SmallInteger),
        Column("timeout", Interval),
        Column("worker_id", BigInteger),
        Column("args", JSONB),
        Column("result", JSONB),
        Column("error_type", Text),
        Column("error", Text),
        Column("traceback", Text),
        Column("headers", JSONB),
        Column("tags", ARRAY(Text)),
        Column("metadata", JSONB),
        _instant("deadline"),
        _instant("expires_at"),
        Column("schedule", Text),
        _instant("tick"),
    )


def _all_attempts(metadata: MetaData) -> Table:
    return Table(
        "all_attempts",
        metadata,
        Column("job_id", BigInteger),
        Column("run", Integer),
        Column("attempt", SmallInteger),
        Column("outcome", Text),
        _instant("started_at"),
        _instant("ended_at"),
        Column("worker_id", BigInteger),
        Column("error_type", Text),
        Column("error", Text),
        Column("traceback", Text),
    )


def _queue_stats(metadata: MetaData) -> Table:
    return Table(
        "queue_stats",
        metadata,
        Column("queue", Text),
        Column("paused", Boolean),
        Column("ready", BigInteger),
        Column("scheduled", BigInteger),
        Column("running", BigInteger),
        _instant("oldest_ready_at"),
        _instant("next_due_at"),
    )


def _instant(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


metadata, all_jobs, all_attempts, queue_stats = views()
