"""One database for all tests of a folder, emptied and checked after each: making one a test would take most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from pgqueue import EmbeddedServer
from tests.conftest import TEMPLATE
from tests.enqueue.conftest import EMPTY
from tests.keys.hold import leaked


@contextmanager
def shared(server: EmbeddedServer, name: str) -> Iterator[str]:
    """Make a migrated database; drop it at the end of the block."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
            fresh.execute("select pgqueue.adopt()")
        yield server.dsn_of(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def check_and_empty(dsn: str) -> None:
    """Empty a database; fail if a live job stood in no place or in two, or a key was left without its job."""
    with psycopg.connect(dsn, autocommit=True, options="-c lock_timeout=10s") as connection:
        misplaced = connection.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
        unfreed = leaked(connection)
        connection.execute(EMPTY)
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"
    assert unfreed == [], f"keys whose job is gone: {unfreed}"
