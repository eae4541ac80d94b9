"""A database that is emptied and checked after each test, for keys too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.databases import emptied
from tests.keys.hold import leaked


@contextmanager
def emptied_of_keys(dsn: str) -> Iterator[str]:
    """Yield the URL; afterwards check as ``emptied`` does, and that no key was left without its job."""
    with emptied(dsn):
        yield dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            unfreed = leaked(connection)
    assert unfreed == [], f"keys whose job is gone: {unfreed}"
