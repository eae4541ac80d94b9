"""What slows a server down in the end: held rows, missing days, dead rows, no connections left."""

from __future__ import annotations

from pgqueue.backend import Finding
from pgqueue.postgres.doctor.asking import Patient, ago, some

OLD_TRANSACTION = 300.0  # seconds
OLD_SNAPSHOT = 100_000  # transactions, for holders whose age in seconds nobody knows
DAYS_AHEAD = 13  # workers keep 14; the last is made within the hour after midnight
DAYS_KEPT = 92  # workers keep 90, and retire once an hour
MANY_DEAD = 50_000
DEAD_SHARE = 5
FEW_CONNECTIONS = 10  # two workers


def headroom(patient: Patient) -> Finding:
    """How many connections are left."""
    used, most = patient.ask("doctor/headroom")[0]
    message = f"{used} of {most} in use"
    if most - used >= FEW_CONNECTIONS:
        return Finding("connections", "ok", message)
    return Finding("connections", "warn", message, "Raise max_connections, or put a pooler in front of the producers.")


def horizon(patient: Patient) -> Finding:
    """Who keeps dead rows from being cleaned."""
    *holders, (*_, hidden) = patient.ask("doctor/horizon")
    for kind, who, user, state, xids, seconds, since, query, _ in holders:
        is_old = xids >= OLD_SNAPSHOT if seconds is None else seconds >= OLD_TRANSACTION
        if not is_old:
            continue
        facts = [
            f"of {user}" if user else "",
            state or "",
            f"{xids:,} transactions old" if seconds is None else ago(seconds),
        ]
        facts += [f"since {since:%Y-%m-%d %H:%M:%SZ}" if since else "", query or ""]
        message = f"{kind} {who} keeps dead rows: {', '.join(filter(None, facts))}"
        return Finding("horizon", "warn", message, _release(kind, who))
    if hidden:
        message = f"{some(hidden, 'connection')} of other roles cannot be looked at"
        return Finding("horizon", "warn", message, f"Ask as another role, or run: grant pg_monitor to {patient.role}")
    oldest = max((seconds for *_, seconds, _, _, _ in holders if seconds is not None), default=0.0)
    return Finding(
        "horizon", "ok", f"no transaction is old: {ago(oldest)} at most" if holders else "nobody holds a transaction"
    )


def _release(kind: str, who: str) -> str:
    return {
        "transaction": f"End it where it was begun, or run: select pg_terminate_backend({who})",
        "prepared transaction": f"End it with commit prepared '{who}' or rollback prepared '{who}'.",
        "replication slot": f"Let its reader catch up, or run: select pg_drop_replication_slot('{who}')",
        "standby": "End the long query there, or turn its hot_standby_feedback off.",
    }[kind]


def partitions(patient: Patient) -> Finding:
    """Whether history has a place for the next days, and lets go of old ones."""
    missing = patient.ask("doctor/partitions", {"ahead": DAYS_AHEAD})
    make = f"Start a worker, or run: select {patient.settings.schema}.make_partitions()"
    if missing:
        days = sorted({day for _, day, _ in missing})
        soon = any(ahead <= 1 for *_, ahead in missing)
        message = f"history has no partition for {days[0]}" + (
            f" and {some(len(days) - 1, 'later day')}" if days[1:] else ""
        )
        return Finding("partitions", "fail" if soon else "warn", message, make)
    overdue = patient.ask("upkeep/old_partitions", {"schema": patient.settings.schema, "days": DAYS_KEPT})
    if overdue:
        message = f"{some(len(overdue), 'partition')} of history should be gone, such as {overdue[0][1]}"
        remedy = "Let a worker run as the schema's owner, and end reports that read history for hours."
        return Finding("partitions", "warn", message, remedy)
    return Finding("partitions", "ok", f"history has a place for the next {DAYS_AHEAD} days")


def lanes(patient: Patient) -> Finding:
    """Whether dead rows pile up in the lanes."""
    rows = patient.ask("doctor/lanes", {"schema": patient.settings.schema})
    for table, live, dead, size in rows:
        if dead >= MANY_DEAD and dead >= DEAD_SHARE * live:
            message = f"{table} holds {dead:,} dead rows beside {live:,} live ones, in {size / 1e6:,.0f} MB"
            remedy = "See what the horizon is held by; a worker that owns the schema vacuums every 15 s."
            return Finding("lanes", "warn", message, remedy)
    dead = sum(row[2] for row in rows)
    return Finding("lanes", "ok", f"{dead:,} dead rows in {sum(row[3] for row in rows) / 1e6:,.1f} MB")


def autovacuum(patient: Patient) -> Finding:
    """Whether autovacuum stands behind the workers' own."""
    works, off = patient.ask("doctor/autovacuum", {"schema": patient.settings.schema})[0]
    if not works:
        return Finding("autovacuum", "warn", "it is off on this server", "Set autovacuum and track_counts to on.")
    if off:
        remedy = f"Run: alter table {patient.settings.schema}.{off[0]} reset (autovacuum_enabled)"
        return Finding("autovacuum", "warn", f"it is off for {', '.join(off)}", remedy)
    return Finding("autovacuum", "ok", "it is on")
