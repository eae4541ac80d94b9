"""How many shared buffers a claim of 100 jobs touches, and big states of the lanes to try it in, written by the set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow, tuple_row

from pgqueue import EmbeddedServer
from pgqueue.postgres.connections import PINNED, Settings
from pgqueue.postgres.cursor import LaneCursor, Snapshot
from pgqueue.postgres.literals import numbers
from pgqueue.postgres.migrate import migrate
from pgqueue.postgres.statements import statement
from pgqueue.postgres.store import PRIORITIES

LIMIT = 100
WORKER = 1

# The states are written past the API, in one statement each. seq and id are consecutive, as one enqueuer would draw them.
_READY = """
with written as (
  insert into pgqueue.job (run_at, timeout_ms, max_retries, priority, queue, task, args)
  select clock_timestamp(), 1800000, 25, 0, 'default', 'counted', '{"user_id": 123, "email": "john.doe@example.com"}'
  from generate_series(1, %(jobs)s::int)
  returning id
)
insert into pgqueue.ready (queue, priority, seq, job_id, run)
select 'default', 0, nextval('pgqueue.ready_seq'), id, 1 from written
"""
_SCHEDULED = """
with written as (
  insert into pgqueue.job (run_at, timeout_ms, max_retries, priority, queue, task, args)
  select clock_timestamp() + n * interval '1 s', 1800000, 25, 0, 'default', 'counted', '{"user_id": 123}'
  from generate_series(1, %(jobs)s::int) n
  returning id, run_at
)
insert into pgqueue.scheduled (queue, due_at, job_id, run) select 'default', run_at, id, 1 from written
"""
_FINISHED = """
insert into pgqueue.job_history (id, finished_at, run_at, enqueued_at, run, timeout_ms, max_retries, attempt, crashes,
  priority, has_key, state, queue, task, args)
select nextval('pgqueue.job_id_seq'), now(), now(), now(), 1, 1800000, 25, 1, 0, 0, false, 'succeeded', 'default',
  'counted', '{"user_id": 123}'
from generate_series(1, %(jobs)s::int)
"""
# What the claims and finishes of so many jobs leave behind: dead entries in ready and job, live ones in history.
_CLAIMED_AND_ENDED = (
    "delete from pgqueue.ready",
    "delete from pgqueue.scheduled",
    "delete from pgqueue.lease",
    """
with ended as (delete from pgqueue.job returning *)
insert into pgqueue.job_history (id, finished_at, run_at, enqueued_at, run, timeout_ms, max_retries, attempt, crashes,
  priority, has_key, state, queue, task, args)
select id, now(), run_at, enqueued_at, run, timeout_ms, max_retries, 1, 0, priority, false, 'succeeded', queue, task, args
from ended
""",
)
_FETCHED = """
select relname, pg_stat_get_xact_blocks_fetched(oid) from pg_class
where relnamespace in ('pgqueue'::regnamespace, 'pg_toast'::regnamespace) and relkind in ('r', 'i', 't', 'S')
  and pg_stat_get_xact_blocks_fetched(oid) > 0
"""


@contextmanager
def lanes(server: EmbeddedServer, name: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """Make a database with one worker in it; yield an autocommitting connection with the pinned options."""
    with psycopg.connect(server.dsn, autocommit=True) as owner:
        owner.execute(f"create database {name} template template0")
        settings = Settings(server.dsn_of(name), "pgqueue")
        migrate(settings)
        parameters = settings.parameters("counter", {**PINNED, "statement_timeout": "120s"})
        with psycopg.connect(**parameters, row_factory=tuple_row) as connection:
            connection.execute(
                "insert into pgqueue.worker (id, name, hostname, pid, version, queues, concurrency) "
                "values (%s, 'counter', 'here', 1, '0', '{default}', 1)",
                (WORKER,),
            )
            for table in ("job", "ready", "scheduled", "lease", "job_key"):  # the state is the test's to choose
                connection.execute(f"alter table pgqueue.{table} set (autovacuum_enabled = off)")
            yield connection
        owner.execute(f"drop database {name} with (force)")


def add_ready(connection: psycopg.Connection[TupleRow], jobs: int) -> None:
    """Enqueue so many jobs."""
    connection.execute(_READY, {"jobs": jobs})


def add_scheduled(connection: psycopg.Connection[TupleRow], jobs: int) -> None:
    """Schedule so many jobs, one a second from now."""
    connection.execute(_SCHEDULED, {"jobs": jobs})


def add_finished(connection: psycopg.Connection[TupleRow], jobs: int) -> None:
    """Record so many jobs that ended."""
    connection.execute(_FINISHED, {"jobs": jobs})


def end_all(connection: psycopg.Connection[TupleRow]) -> None:
    """Claim and finish everything that lives: the lanes and job then hold dead entries only."""
    for statement_text in _CLAIMED_AND_ENDED:
        connection.execute(statement_text)


@contextmanager
def held_snapshot(dsn: str) -> Iterator[None]:
    """Hold a snapshot: what dies meanwhile cannot be cleaned."""
    with psycopg.connect(dsn) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select from pgqueue.queue")
        yield


class Claims:
    """Claims of one worker, as its store makes them."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection
        self.cursor: LaneCursor[int] = LaneCursor(PRIORITIES, 0)

    def fetched(self, after: Mapping[int, int] | None = None) -> dict[str, int]:
        """Claim 100 jobs after these positions (none: from the start); return the buffers fetched, by table and index.

        The claim is taken back. EXPLAIN is not asked: it leaves out what runs after the top node, here the lease.
        """
        with self._connection.transaction(force_rollback=True):
            before = self._counters()
            rows = self._claim(after or dict.fromkeys(PRIORITIES, 0))
            assert len(rows) == LIMIT + 1
            return {name: n - before.get(name, 0) for name, n in self._counters().items() if n > before.get(name, 0)}

    def read_on(self, now: float) -> None:
        """Claim 100 jobs for good, and move the cursor."""
        reading = self.cursor.begin(now, idle=False)
        taken, last, xmax, in_progress, own = self._claim(reading.start)[0][:5]
        self.cursor.finish(reading, dict(last), Snapshot(xmax, in_progress, own), full=taken >= LIMIT, now=now)

    def _claim(self, after: Mapping[int, int]) -> list[TupleRow]:
        return self._connection.execute(
            statement("ready/claim", "pgqueue"),
            {
                "queue": "default",
                "priorities": numbers(PRIORITIES),
                "after": numbers(after[p] for p in PRIORITIES),
                "limit": LIMIT,
                "worker": WORKER,
                "lease": 1,
            },
            prepare=True,
        ).fetchall()

    def _counters(self) -> dict[str, int]:
        return {re.sub(r"\d{3,}", "", name): n for name, n in self._connection.execute(_FETCHED)}
