"""Who works, and on what nobody does."""

from __future__ import annotations

from pgqueue.backend import Finding
from pgqueue.model.poison import MOST_CRASHES
from pgqueue.postgres.doctor.asking import Patient, ago, some

SILENT = 60.0  # seconds; a living worker finds a silent one within 29


def workers(patient: Patient) -> Finding:
    """Who lives."""
    rows = patient.ask("doctor/workers")
    silent = [(name, seconds) for name, seconds in rows if seconds > SILENT]
    if silent:
        name, seconds = silent[0]
        message = f"{some(len(silent), 'worker')} of {len(rows)} silent, {name} for {ago(seconds)}"
        return Finding(
            "workers", "warn", message, "Start a worker: it takes silent ones for dead, and their jobs back."
        )
    return Finding("workers", "ok", f"{some(len(rows), 'worker')} alive" if rows else "none runs")


def leases(patient: Patient) -> Finding:
    """Whether jobs are held by workers that are gone."""
    orphans, jobs = patient.ask("doctor/leases")[0]
    if not orphans:
        return Finding("leases", "ok", "each belongs to a worker")
    message = f"{some(jobs, 'job')} in {some(orphans, 'lease')} of workers that are gone"
    return Finding("leases", "warn", message, "Start a worker: it hands them back within seconds.")


def queues(patient: Patient) -> Finding:
    """Whether somebody serves each queue that has jobs."""
    alone = patient.ask("doctor/queues", {"silent": SILENT})
    if not alone:
        return Finding("queues", "ok", "each that has ready jobs has a worker, or is paused")
    shown = ", ".join(f"{queue} ({some(jobs, 'job')})" for queue, jobs in alone[:5]) + (", ..." if alone[5:] else "")
    message = f"no worker serves {shown}"
    return Finding("queues", "warn", message, f"Start one: pgqueue worker APP -q {alone[0][0]}")


def paused(patient: Patient) -> Finding:
    """Which queues are paused."""
    rows = patient.ask("doctor/paused")
    if not rows:
        return Finding("paused", "ok", "no queue is paused")
    shown = ", ".join(f"{queue} since {at:%Y-%m-%d %H:%M:%SZ} ({some(jobs, 'ready job')})" for queue, at, jobs in rows)
    return Finding("paused", "warn", shown, f"When they may go on: {patient.command(f'queues resume {rows[0][0]}')}")


def suspects(patient: Patient) -> Finding:
    """Which jobs were held when a worker died."""
    rows = patient.ask("doctor/suspects")
    if not rows:
        return Finding("suspects", "ok", "no live job was held by a worker that died")
    jobs, job, task, crashes = rows[0]
    message = (
        f"{some(jobs, 'job')} held by a worker when it died; {task} {job} {some(crashes, 'time')} of {MOST_CRASHES}"
    )
    return Finding("suspects", "warn", message, f"Look at it: {patient.command(f'jobs show {job}')}")


def places(patient: Patient) -> Finding:
    """Whether each live job stands in exactly one place."""
    jobs, ids = patient.ask("doctor/misplaced")[0]
    if not jobs:
        return Finding("places", "ok", "each live job stands in one place")
    message = f"{some(jobs, 'job')} in no place or several, such as {', '.join(ids)}"
    remedy = f"Report it with what the view {patient.settings.schema}.misplaced_jobs shows, before anything is changed."
    return Finding("places", "fail", message, remedy)
