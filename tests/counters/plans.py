"""Plans of the hot statements: which of them walk over a whole lane, and the states of statistics to try them in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from pgqueue import EmbeddedServer
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.literals import numbers, texts
from pgqueue.postgres.statements import statement
from pgqueue.postgres.store import PRIORITIES
from tests.counters.buffers import add_finished, add_ready, add_scheduled, end_all, held_snapshot, lanes

Connection = psycopg.Connection[TupleRow]

# These grow with the backlog or with history, and no hot statement may walk over them. The others may be scanned: worker,
# worker_idle, queue and home have a row a worker, a queue, a database; lease has a row a claim under way; job_signal has
# a row a cancelled run.
GUARDED = ("ready", "scheduled", "job", "job_key", "job_history", "job_attempt")
_SCANS = ("Seq Scan", "Bitmap Heap Scan", "Sample Scan")
_PARTITION = re.compile(r"_\d{8}$")
_NAMED = re.compile(r"%\((\w+)\)s")
_ARGUMENT = re.compile(r"\bp_(\w+)")

JOBS = 20_000
_IDS = range(1, 501)
_NULLS = numbers("NULL" for _ in _IDS)
_RUNS = {
    "id": numbers(_IDS),
    "run": numbers(1 for _ in _IDS),
    "lease": numbers(1 for _ in _IDS),
    "outcome": texts("succeeded" for _ in _IDS),
    "delay": numbers(0.0 for _ in _IDS),
    "ago": numbers(0.5 for _ in _IDS),
    "error": _NULLS,
    "result": _NULLS,
    "empty": "{1}",
    "worker": 1,
}
HOT: dict[str, Mapping[str, Any]] = {
    "ready/claim": {
        "queue": "default",
        "priorities": numbers(PRIORITIES),
        "after": numbers(0 for _ in PRIORITIES),
        "limit": 500,
        "worker": 1,
        "lease": 1,
    },
    "ready/look": {
        "queues": ["default"] * len(PRIORITIES),
        "priorities": numbers(PRIORITIES),
        "after": numbers(0 for _ in PRIORITIES),
    },
    "scheduled/look": {"queues": ["default"], "due_ats": "{0001-01-01 00:00:00+00}", "job_ids": "{0}"},
    "scheduled/promote": {"queue": "default", "due_at": "0001-01-01 00:00:00+00", "job_id": 0, "limit": 500},
    "lease/finish": _RUNS,
    "lease/settle": _RUNS,
    "lease/release": {"worker": 1, "leases": "{1,2}"},
    "worker/beat": {"worker": 1},
    "worker/beats": {},
    "worker/rescue": {"ids": "{1}", "beats": "{0}", "limit": 100, "strikes": 3, "error": "{}"},
}
_ENQUEUED: Mapping[str, Any] = {
    "queue": texts("default" for _ in _IDS),
    "task": texts("counted" for _ in _IDS),
    "args": texts("{}" for _ in _IDS),
    "priority": _NULLS,
    "delay": _NULLS,
    "run_at": _NULLS,
    "max_retries": _NULLS,
    "timeout_ms": _NULLS,
    "more": _NULLS,
    "id": _NULLS,
}
_ENQUEUE_TYPES = [
    "text[]",
    "text[]",
    "jsonb[]",
    "int[]",
    "float8[]",
    "timestamptz[]",
    "int[]",
    "int[]",
    "jsonb[]",
    "bigint[]",
]
STATEMENTS = (*HOT, "jobs/enqueue")


@dataclass(frozen=True, slots=True)
class State:
    """A database in one state of statistics, with a pinned and an unpinned connection to it."""

    pinned: Connection
    unpinned: Connection


def offences(connection: Connection, name: str) -> list[str]:
    """Return what the bound and the generic plan of a hot statement do that costs a walk over a guarded table."""
    text, values = _text(connection, name)
    bound = connection.execute(f"explain (format json) {text}", values).fetchone()
    order: dict[str, str] = {}
    numbered = _NAMED.sub(lambda found: order.setdefault(found[1], f"${len(order) + 1}"), text)
    generic = connection.execute(f"explain (generic_plan, format json) {numbered}").fetchone()
    assert bound is not None
    assert generic is not None
    kinds = {"bound": bound[0][0]["Plan"], "generic": generic[0][0]["Plan"]}
    return [f"{kind}: {told}" for kind, plan in kinds.items() for node in _nodes(plan) if (told := _offence(node))]


def reads(connection: Connection, name: str) -> set[str]:
    """Return the guarded tables that the statement's plan reads by an index or by place."""
    text, values = _text(connection, name)
    row = connection.execute(f"explain (format json) {text}", values).fetchone()
    assert row is not None
    scans = [node for node in _nodes(row[0][0]["Plan"]) if node["Node Type"].endswith("Scan")]
    return {table for node in scans if (table := _table(node)) in GUARDED}


def _text(connection: Connection, name: str) -> tuple[str, Mapping[str, Any]]:
    if name != "jobs/enqueue":
        return statement(name, "pgqueue").decode(), HOT[name]
    row = connection.execute("select prosrc from pg_proc where oid = 'pgqueue.write_jobs'::regproc").fetchone()
    assert row is not None
    inner = row[0].split("return query", 1)[1].rsplit(";", 2)[0]
    types = dict(zip(_ENQUEUED, _ENQUEUE_TYPES, strict=True))
    return _ARGUMENT.sub(lambda found: f"%({found[1]})s::text::{types[found[1]]}", inner), _ENQUEUED


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _table(node: dict[str, Any]) -> str:
    return _PARTITION.sub("", node.get("Relation Name", ""))


def _offence(node: dict[str, Any]) -> str | None:
    kind, table = node["Node Type"], _table(node)
    if table not in GUARDED:
        return None
    if kind in _SCANS:
        return f"{kind} on {table}"
    if kind.startswith("Index"):
        condition = node.get("Index Cond", "")
        # An index that is read from its start walks over what a held snapshot keeps there.
        needed = {"ready": "seq >", "scheduled": "due_at"}.get(table, "=")
        if needed not in condition:
            return f"{kind} on {table} reads the index from its start: {condition or 'no condition'}"
    return None


@contextmanager
def states(server: EmbeddedServer) -> Iterator[dict[str, State]]:
    """Make a database for each state of statistics that a lane can be in."""
    with ExitStack() as stack:
        yield {name: _make(server, f"state_{n}", make, stack) for n, (name, make) in enumerate(_MAKERS.items())}


def _make(server: EmbeddedServer, database: str, make: Callable[[Connection], None], stack: ExitStack) -> State:
    pinned = stack.enter_context(lanes(server, database))
    settings = Settings(server.dsn_of(database), "pgqueue")
    unpinned = stack.enter_context(psycopg.connect(**settings.parameters("counter", UNPINNED)))
    if make is _drain_under_a_snapshot:
        stack.enter_context(held_snapshot(settings.dsn))
    make(pinned)
    return State(pinned, unpinned)


def _fill(connection: Connection) -> None:
    add_ready(connection, JOBS)
    add_scheduled(connection, JOBS)
    add_finished(connection, JOBS)
    connection.execute("insert into pgqueue.job_key (queue, key, job_id) select queue, id::text, id from pgqueue.job")


def _analyze(connection: Connection) -> None:
    connection.execute("analyze")


def _leave_empty(connection: Connection) -> None:
    """Neither rows nor statistics."""


def _analyze_then_fill(connection: Connection) -> None:
    _analyze(connection)
    _fill(connection)


def _fill_then_analyze(connection: Connection) -> None:
    _fill(connection)
    _analyze(connection)


def _drain_after_analyze(connection: Connection) -> None:
    _fill_then_analyze(connection)
    end_all(connection)


def _drain_under_a_snapshot(connection: Connection) -> None:
    _fill(connection)
    end_all(connection)
    connection.execute("vacuum (analyze, truncate off) pgqueue.ready, pgqueue.scheduled, pgqueue.job")
    add_ready(connection, 10)
    _analyze(connection)


_MAKERS: dict[str, Callable[[Connection], None]] = {
    "never analyzed, empty": _leave_empty,
    "never analyzed, full": _fill,
    "analyzed empty, then filled": _analyze_then_fill,
    "analyzed full": _fill_then_analyze,
    "analyzed full, then drained": _drain_after_analyze,
    "drained under a held snapshot, then analyzed": _drain_under_a_snapshot,
}
STATES = tuple(_MAKERS)
