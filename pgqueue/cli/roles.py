"""``pgqueue grant`` and ``pgqueue revoke``."""

from __future__ import annotations

import click

from pgqueue.app import PgQueue
from pgqueue.cli.options import json_output, place
from pgqueue.cli.output import print_json


@click.command()
@click.argument("role", metavar="ROLE")
@click.argument("name", metavar="NAME")
@place
@json_output
def grant(*, role: str, name: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Let the database role NAME be a producer, worker, auditor or admin. Run it again after each migration."""
    count = PgQueue(dsn, schema=schema).inspector.grant(role, name)
    _tell(role, name, count, f"{name} is now {role}: {count} privileges granted.", as_json=as_json)


@click.command()
@click.argument("role", metavar="ROLE")
@click.argument("name", metavar="NAME")
@place
@json_output
def revoke(*, role: str, name: str, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Take producer, worker, auditor or admin from the database role NAME. Grant again what it has from another one."""
    count = PgQueue(dsn, schema=schema).inspector.revoke(role, name)
    _tell(role, name, count, f"{name} is {role} no more: {count} privileges revoked.", as_json=as_json)


def _tell(role: str, name: str, count: int, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"role": role, "name": name, "privileges": count})
    else:
        click.echo(sentence)
