"""A database in which nothing has been made yet."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[str]:
    """The URL of an empty database."""
    name = sql.Identifier("t_empty")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(name))
        yield server.dsn_of("t_empty")
        connection.execute(sql.SQL("drop database {} with (force)").format(name))
