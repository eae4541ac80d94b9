"""``pgqueue jobs``: list, show, retry, cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import click

from pgqueue.app import PgQueue
from pgqueue.backend import AttemptRecord, JobRecord
from pgqueue.cli.options import json_output, place
from pgqueue.cli.output import print_facts, print_json, print_outcomes, print_table
from pgqueue.model.errors import JobNotFound
from pgqueue.model.states import JobState

CANCELLED = ("cancelled", "signalled")
_COLUMNS = ("id", "state", "queue", "task", "priority", "attempt", "run_at", "finished_at")
_ATTEMPT_COLUMNS = ("run", "attempt", "outcome", "started_at", "ended_at", "worker_id")


@click.group()
def jobs() -> None:
    """Look at jobs, bring them back, cancel them."""


@jobs.command("list")
@click.option("--state", type=click.Choice([str(state) for state in JobState]), help="Only jobs in this state.")
@click.option("--queue", "-q", metavar="NAME", help="Only jobs of this queue.")
@click.option("--task", "-t", metavar="NAME", help="Only jobs of this task.")
@click.option("--limit", "-n", default=50, show_default=True, help="At most so many, newest first.")
@place
@json_output
def list_jobs(
    *,
    state: str | None,
    queue: str | None,
    task: str | None,
    limit: int,
    dsn: str | None,
    schema: str | None,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    found = PgQueue(dsn, schema=schema).inspector.jobs(state=state, queue=queue, task=task, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_table([_row(job, _COLUMNS) for job in found], "No such jobs.")


@jobs.command()
@click.argument("job_id", metavar="ID")
@place
@json_output
def show(*, job_id: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Show a job and every run of it that has ended."""
    inspector = PgQueue(dsn, schema=schema).inspector
    job, attempts = inspector.job(job_id), inspector.attempts(job_id)
    if as_json:
        print_json({**asdict(job), "attempts": attempts})
        return
    print_facts({**asdict(job), "timeout": f"{job.timeout:g} s"})
    if attempts:
        click.echo()
        print_table([_row(attempt, _ATTEMPT_COLUMNS) for attempt in attempts], "")


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@place
@json_output
def retry(*, job_ids: Sequence[str], dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Bring dead, cancelled or expired jobs back, with a fresh retry budget."""
    outcomes = _each(job_ids, PgQueue(dsn, schema=schema).inspector.retry)
    told = {job_id: _retry_words(outcome) for job_id, outcome in outcomes.items()}
    print_outcomes(told, lambda outcome: outcome == "retried", as_json=as_json)


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@place
@json_output
def cancel(*, job_ids: Sequence[str], dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Cancel jobs: those that wait end at once, those that run are told."""
    outcomes = _each(job_ids, PgQueue(dsn, schema=schema).inspector.cancel)
    told = {job_id: _cancel_words(outcome) for job_id, outcome in outcomes.items()}
    print_outcomes(told, lambda outcome: outcome in CANCELLED, as_json=as_json)


def _each(job_ids: Sequence[str], act: Callable[[str], str]) -> dict[str, str]:
    outcomes = {}
    for job_id in job_ids:
        try:
            outcomes[job_id] = act(job_id)
        except JobNotFound as error:
            outcomes[job_id] = f"not done: {error}"
    return outcomes


def _retry_words(outcome: str) -> str:
    if outcome in set(JobState):
        return f"not done: it is {outcome}; only dead, cancelled and expired jobs can be retried"
    return outcome


def _cancel_words(outcome: str) -> str:
    if outcome in set(JobState) - {"cancelled"}:
        return f"not done: it is {outcome}; only a job that has not ended can be cancelled"
    return outcome


def _row(record: JobRecord | AttemptRecord, columns: Sequence[str]) -> dict[str, object]:
    error = f"{record.error_type}: {record.error}" if record.error_type else record.error
    return {**{name: getattr(record, name) for name in columns}, "error": error}
