"""The order of the checks, and what becomes of one that cannot be made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg
from psycopg import errors

from pgqueue.backend import Finding
from pgqueue.model.errors import PgQueueError
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.doctor import place, server, work
from pgqueue.postgres.doctor.asking import LIMIT, Check, Patient
from pgqueue.postgres.explain import explain, first_line
from pgqueue.postgres.pooler import connect

_OF_THE_PLACE: tuple[tuple[str, Check], ...] = (
    ("connection", place.connection),
    ("server", place.server),
    ("pooler", place.pooler),
    ("direct", place.direct),
    ("settings", place.pinned),
    ("clock", place.clock),
    ("connections", server.headroom),
    ("horizon", server.horizon),
)
_OF_THE_SCHEMA: tuple[tuple[str, Check], ...] = (
    ("home", place.home),
    ("role", place.role),
    ("partitions", server.partitions),
    ("lanes", server.lanes),
    ("autovacuum", server.autovacuum),
    ("workers", work.workers),
    ("leases", work.leases),
    ("queues", work.queues),
    ("paused", work.paused),
    ("suspects", work.suspects),
    ("places", work.places),
)


def diagnose(settings: Settings, now: Callable[[], datetime]) -> list[Finding]:
    """Look whether all is as jobs need it.

    Args:
        now: The time by the clock of this machine.
    """
    return [*_storage(settings, now), _driver()]


def _storage(settings: Settings, now: Callable[[], datetime]) -> list[Finding]:
    began = time.monotonic()
    try:
        connection = connect(settings.parameters("doctor", UNPINNED))
    except psycopg.Error as error:
        told = explain(error, settings.schema, broken=True)
        return [_failed("connection", told)] if told else [Finding("connection", "fail", first_line(error))]
    with connection:
        return list(_checked(Patient(settings, connection, time.monotonic() - began, now)))


def _driver() -> Finding:
    """How psycopg is built: in Python alone it costs a worker half its speed."""
    number = psycopg.pq.version()
    message = f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__}), libpq {number // 10_000}.{number % 10_000}"
    if psycopg.pq.__impl__ == "python":
        return Finding("driver", "warn", message, "Run: pip install 'pgqueue[binary]'")
    return Finding("driver", "ok", message)


def _checked(patient: Patient) -> Iterator[Finding]:
    for name, check in _OF_THE_PLACE:
        yield _made(name, check, patient)
    schema = _made("schema", place.schema, patient)
    yield schema
    if schema.level != "fail":
        for name, check in _OF_THE_SCHEMA:
            yield _made(name, check, patient)


def _made(name: str, check: Check, patient: Patient) -> Finding:
    """Make a check; one that cannot be made says why, and the others go on."""
    try:
        return check(patient)
    except PgQueueError as error:
        return _failed(name, error)
    except errors.InsufficientPrivilege as error:
        return Finding(
            name, "warn", f"not looked at: {first_line(error)}", "Ask as the owner of the schema to see everything."
        )
    except errors.QueryCanceled:
        return Finding(name, "warn", f"no answer within {LIMIT}", "Ask again when the server has less to do.")
    except psycopg.Error as error:
        return Finding(name, "fail", first_line(error), "Ask again; if that goes on, look into the server's log.")


def _failed(name: str, error: PgQueueError) -> Finding:
    return Finding(name, "fail", error.problem.rstrip("."), error.remedy)
