"""``pgqueue queues``: list, pause, resume."""

from __future__ import annotations

from dataclasses import asdict

import click

from pgqueue.app import PgQueue
from pgqueue.cli.options import json_output, place
from pgqueue.cli.output import print_json, print_table


@click.group()
def queues() -> None:
    """Look at queues, pause them, resume them."""


@queues.command("list")
@place
@json_output
def list_queues(*, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """List queues with what stands in them."""
    found = PgQueue(dsn, schema=schema).inspector.queues()
    if as_json:
        print_json(found)
    else:
        print_table([asdict(queue) for queue in found], "No queue has ever held a job.")


@queues.command()
@click.argument("queue", metavar="NAME")
@place
@json_output
def pause(*, queue: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Suspend claims from a queue; running jobs go on, new jobs may be enqueued."""
    _tell(queue, PgQueue(dsn, schema=schema).inspector.pause(queue), as_json=as_json)


@queues.command()
@click.argument("queue", metavar="NAME")
@place
@json_output
def resume(*, queue: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Take up claims from a queue again."""
    _tell(queue, PgQueue(dsn, schema=schema).inspector.resume(queue), as_json=as_json)


def _tell(queue: str, outcome: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"queue": queue, "outcome": outcome})
    else:
        click.echo(f"{queue}  {outcome}")
