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
@place
@json_output
def migrate(*, as_sql: bool, check: bool, revision: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Bring the schema up to date. Safe to run from many processes at once."""
    pgq = PgQueue(dsn, schema=schema)
    if as_sql:
        click.echo(migrations.as_sql(pgq.schema), nl=False)
    elif check:
        before, newest = migrations.pending(pgq.settings)
        _tell(
            before, newest, "is up to date" if before == newest else f"is at {before}, due is {newest}", as_json=as_json
        )
        sys.exit(before != newest)
    else:
        before, after = migrations.migrate(pgq.settings, revision)
        _tell(
            before, after, f"stays at {after}" if before == after else f"went from {before} to {after}", as_json=as_json
        )


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


def _tell(before: str, after: str, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"The schema {words}.")
