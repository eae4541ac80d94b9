"""The command: its groups, and how errors end it.

Exit codes: 0 done; 1 it could not be done, such as no such job; 2 wrong use or configuration; 3 a worker had to cancel
jobs when it stopped; 4 the database cannot be reached; 5 too many threads of a worker outlived their jobs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from pgqueue.cli.dev import dev
from pgqueue.cli.doctor import doctor
from pgqueue.cli.jobs import jobs
from pgqueue.cli.migrate import adopt, migrate
from pgqueue.cli.output import print_error
from pgqueue.cli.queues import queues
from pgqueue.cli.roles import grant, revoke
from pgqueue.cli.worker import worker
from pgqueue.model.errors import BackendUnavailable, JobNotFound, PgQueueError
from pgqueue.version import __version__

EXIT_NOT_DONE = 1
EXIT_WRONG_USE = 2
EXIT_UNREACHABLE = 4


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pgqueue")
def cli() -> None:
    """Background jobs on PostgreSQL.

    The database is --dsn, else PGQUEUE_DSN, DATABASE_URL or the PG* variables; the schema is --schema, else
    PGQUEUE_SCHEMA, else "pgqueue".
    """


for command in (dev, worker, migrate, adopt, doctor, jobs, queues, grant, revoke):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command and end the process with its exit code."""
    try:
        cli.main(arguments, prog_name="pgqueue", standalone_mode=False)
    except PgQueueError as error:
        print_error(error, as_json="--json" in (sys.argv if arguments is None else arguments))
        sys.exit(_exit_code(error))
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_WRONG_USE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stdout = None
        sys.exit(0)


def _exit_code(error: PgQueueError) -> int:
    if isinstance(error, BackendUnavailable):
        return EXIT_UNREACHABLE
    return EXIT_NOT_DONE if isinstance(error, JobNotFound) else EXIT_WRONG_USE
