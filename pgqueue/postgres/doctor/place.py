"""Where we are: the connection, the server, what stands between, the schema, and what this role may do there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
from psycopg import errors, sql

from pgqueue.backend import Finding
from pgqueue.postgres import migrate
from pgqueue.postgres.connections import PINNED, check_way_around, open_session
from pgqueue.postgres.doctor.asking import Patient, ago, some
from pgqueue.postgres.explain import explain
from pgqueue.postgres.statements import statement

SLOW_CONNECT = 1.0
LEAST_VERSION = 160_000
LARGEST_SKEW = 1.0
_WHOLE_SECONDS = re.compile(r"(\d+)s")

# What a worker needs; ``tests/doctor`` holds it against the function role_grants().
_CHANGED = ("job", "ready", "scheduled", "lease", "job_key", "worker", "worker_idle", "worker_log", "job_signal",
            "job_progress", "job_checkpoint")  # fmt: skip
_CALLED = ("enqueue", "enqueue_many", "enqueue_jobs", "enqueue_keyed", "unique_key", "job_states", "complete", "channel", "wake",
           "make_partitions", "retire_partition")  # fmt: skip


def connection(patient: Patient) -> Finding:
    """How long a connect takes."""
    message = f"connected in {ago(patient.seconds)}"
    if patient.seconds > SLOW_CONNECT:
        return Finding("connection", "warn", message, "Look at the network, and at who resolves the host's name.")
    return Finding("connection", "ok", message)


def server(patient: Patient) -> Finding:
    """Which server this is."""
    version, number, standby, database, role, _ = patient.ask("doctor/server")[0]
    patient.version, patient.database, patient.role = number, database, role
    message = f"PostgreSQL {version.split(' ')[0]}, database {database}, role {role}"
    if standby:
        return Finding("server", "fail", f"{message}: a standby", "Let the DSN name the primary: jobs are written.")
    if number < LEAST_VERSION:
        return Finding("server", "fail", message, "Upgrade to PostgreSQL 16 or newer: older ones are not supported.")
    return Finding("server", "ok", message)


def pooler(patient: Patient) -> Finding:
    """What stands between us and the server."""
    pooling = patient.settings.pooling()
    if pooling == "direct":
        return Finding("pooler", "ok", "none: this is the server itself")
    if pooling == "session":
        return Finding("pooler", "ok", "one that lends a server for a session: all works as without it")
    message = "one that lends a server for a transaction: statements are not prepared"
    if patient.settings.direct_dsn is not None:
        return Finding("pooler", "ok", f"{message}, LISTEN goes around it")
    remedy = "Set PGQUEUE_DIRECT_DSN to the server itself if that is too late."
    return Finding("pooler", "warn", f"{message}, a job may start 1 s late and a cancel may take 5 s", remedy)


def direct(patient: Patient) -> Finding:
    """Whether the way around a pooler leads to the same database."""
    settings = patient.settings
    if settings.direct_dsn is None:
        return Finding("direct", "ok", "PGQUEUE_DIRECT_DSN is not set")
    if settings.pooling() != "transaction":
        return Finding("direct", "ok", "PGQUEUE_DIRECT_DSN is set and not needed")
    try:
        check_way_around(settings)
    except psycopg.Error as error:
        told = explain(error, settings.schema, broken=True)
        reason = told.problem.rstrip(".") if told else str(error)
        return Finding("direct", "fail", f"PGQUEUE_DIRECT_DSN: {reason}", "Correct it, or unset it: workers then poll.")
    return Finding("direct", "ok", "PGQUEUE_DIRECT_DSN leads past the pooler to the same database")


def pinned(patient: Patient) -> Finding:
    """Whether a worker's connection has the settings that keep its plans."""
    settings = patient.settings
    wanted = {name: _base(value) for name, value in PINNED.items()}
    text = statement("doctor/settings", settings.schema)
    with open_session(settings, "doctor", PINNED) as hot:
        found: dict[str, str] = dict(hot.execute(text, {"names": list(wanted)}).fetchall())
    missing = [name for name, value in wanted.items() if found.get(name) != value]
    if not missing:
        return Finding("settings", "ok", "a worker's connection has all that pin its plans")
    message = f"behind this pooler a worker's connection lacks {', '.join(missing)}"
    return Finding("settings", "warn", message, "\n".join(_pins(patient, missing)))


def _pins(patient: Patient, missing: list[str]) -> Iterator[str]:
    yield "Give workers a role of their own, run this for it, and let the pooler reconnect:"
    place = sql.SQL("alter role {} in database {} set ").format(
        sql.Identifier(patient.role), sql.Identifier(patient.database)
    )
    for name in missing:
        value = PINNED[name].replace("\\", "")
        yield f"{place.as_string()}{name} = '{value}';"


def _base(value: str) -> str:
    """Return a setting as pg_settings shows it: times in milliseconds."""
    seconds = _WHOLE_SECONDS.fullmatch(value)
    return str(int(seconds[1]) * 1000) if seconds else value.replace("\\", "")


def clock(patient: Patient) -> Finding:
    """How far the clocks of the server and of this machine are apart."""
    before = patient.now()
    [row] = patient.ask("doctor/server")
    after = patient.now()
    skew = (row[5] - (before + (after - before) / 2)).total_seconds()
    if abs(skew) <= LARGEST_SKEW:
        return Finding("clock", "ok", "the server's and this machine's agree")
    message = f"the server's is {ago(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine's"
    remedy = "Let both follow a time server: run_at is made by this one, and read by the server's."
    return Finding("clock", "warn", message, remedy)


def schema(patient: Patient) -> Finding:
    """At which revision the schema is."""
    newest, name = migrate.head(), patient.settings.schema
    try:
        rows = patient.ask("doctor/revision")
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return Finding("schema", "fail", f'there is no schema "{name}" of ours', f"Run: {patient.command('migrate')}")
    revision = rows[0][0] if rows else "base"
    if revision == newest:
        return Finding("schema", "ok", f'"{name}" is at {revision}, the newest that this version knows')
    if revision == "base" or revision < newest:
        message = f'"{name}" is at {revision}, and this version needs {newest}'
        return Finding("schema", "fail", message, f"Run: {patient.command('migrate')}")
    return Finding(
        "schema",
        "warn",
        f'"{name}" is at {revision}, and this version knows it up to {newest}',
        "Install the version of pgqueue here that migrated it.",
    )


def home(patient: Patient) -> Finding:
    """Whether jobs may run here."""
    if patient.ask("doctor/home")[0][0]:
        return Finding("home", "ok", "the jobs belong to this database")
    remedy = f"If they are to run here, and nowhere else, run: {patient.command('adopt')}"
    return Finding("home", "fail", "this is a copy: its jobs belong to another server, and no worker runs them", remedy)


def role(patient: Patient) -> Finding:
    """Whether this role may do what a worker does."""
    needs = list(needed(patient.settings.schema))
    kinds, objects, privileges = (list(column) for column in zip(*needs, strict=True))
    given = {"kinds": kinds, "objects": objects, "privileges": privileges, "schema": patient.settings.schema}
    missing = [row[0] for row in patient.ask("doctor/privileges", given)]
    if not missing:
        return Finding("role", "ok", f"{patient.role} may do what a worker does")
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    message = f"{patient.role} lacks {some(len(missing), 'privilege')} of a worker: {shown}"
    remedy = f"If it is to run jobs, let the schema's owner run: {patient.command(f'grant worker {patient.role}')}"
    return Finding("role", "warn", message, remedy)


def needed(schema: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, object, privilege) for all that a worker needs."""
    yield "schema", schema, "usage"
    for table in _CHANGED:
        yield from (("table", table, privilege) for privilege in ("select", "insert", "update", "delete"))
    yield from (("table", "queue", privilege) for privilege in ("select", "insert", "update"))
    for table in ("job_history", "job_attempt"):
        yield from (("table", table, privilege) for privilege in ("select", "insert"))
    yield "table", "home", "select"
    yield from (("sequence", name, "usage") for name in ("ready_seq", "job_id_seq"))
    yield from (("function", name, "execute") for name in _CALLED)
