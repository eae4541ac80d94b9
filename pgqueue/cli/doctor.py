"""``pgqueue doctor``: one line for each check, and what to do where something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pgqueue.app import PgQueue
from pgqueue.backend import Finding, Level
from pgqueue.cli.options import json_output, place
from pgqueue.cli.output import print_json

_COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@place
@json_output
def doctor(*, dsn: str | None, schema: str | None, as_json: bool) -> None:
    """Look whether database, schema, pooler, workers and jobs are well. Changes nothing; ends with 1 when a check fails."""
    findings = PgQueue(dsn, schema=schema).inspector.diagnose()
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    sys.exit(any(finding.level == "fail" for finding in findings))


def _print(findings: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        level = click.style(f"{finding.level:<4}", fg=_COLOURS[finding.level], bold=finding.level == "fail")
        click.echo(f"{level}  {finding.name:<{width}}  {finding.message}")
        for line in (finding.remedy or "").splitlines():
            click.echo(f"{'':<{width + 6}}  {line}")
    click.echo(f"\n{_summary(findings)}")


def _summary(findings: Sequence[Finding]) -> str:
    failed, warned = (sum(finding.level == level for finding in findings) for level in ("fail", "warn"))
    told = [f"{count} to {verb}" for count, verb in ((failed, "repair"), (warned, "look at")) if count]
    return f"{len(findings)} checks, {' and '.join(told)}." if told else f"{len(findings)} checks, all is well."
