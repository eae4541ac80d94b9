"""``pgqueue migrate`` and ``pgqueue adopt``."""

from __future__ import annotations

import sys

import click

from pgqueue.app import PgQueue
from pgqueue.cli.options import json_output, place
from pgqueue.cli.output import print_json
from pgqueue.postgres import migrate as migrations


@click.command()
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL for an empty database; connect to nothing.")
@click.option("--check", is_flag=True, help="Change nothing; end with 1 when a migration is due.")
@click.option("--to", "revision", default="head", show_default=True, help='A revision; "base" drops everything.')
@click.option("--yes", is_flag=True, help="Do not ask before everything is dropped.")
@place
@json_output
def migrate(
    *, as_sql: bool, check: bool, revision: str, yes: bool, dsn: str | None, schema: str | None, as_json: bool
) -> None:
    """Bring the schema up to date. Safe to run from many processes at once."""
    if as_sql + check + (revision != "head") > 1 or (as_sql and as_json):
        raise click.UsageError("--sql, --check and --to exclude each other, and --sql prints no JSON.")
    pgq = PgQueue(dsn, schema=schema)
    if as_sql:
        click.echo(migrations.as_sql(pgq.schema), nl=False)
    elif check:
        _check(pgq, as_json=as_json)
    else:
        if revision == "base" and not yes:
            _ask(pgq.schema)
        _move(pgq, revision, as_json=as_json)


def _ask(schema: str) -> None:
    loss = f'This drops all jobs and their history in the schema "{schema}".'
    if not sys.stdin.isatty():
        raise click.UsageError(f"{loss} Pass --yes if that is what you want.")
    click.confirm(f"{loss} Go on?", abort=True)


def _check(pgq: PgQueue[None], *, as_json: bool) -> None:
    current, newest = migrations.pending(pgq.settings)
    if as_json:
        print_json({"current": current, "newest": newest})
    else:
        click.echo(
            "The schema is up to date." if current == newest else f"The schema is at {current}, due is {newest}."
        )
    sys.exit(current != newest)


def _move(pgq: PgQueue[None], revision: str, *, as_json: bool) -> None:
    before, after = migrations.migrate(pgq.settings, revision)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"The schema {f'stays at {after}' if before == after else f'went from {before} to {after}'}.")


@click.command()
@place
@json_output
def adopt(*, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Let workers run the jobs of a restored copy. Make sure that no other server runs them."""
    PgQueue(dsn, schema=schema).inspector.adopt()
    if as_json:
        print_json({"adopted": True})
    else:
        click.echo("Workers run the jobs of this database from now on.")
