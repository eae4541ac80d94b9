"""Databases for tests: a server, a migrated template, and a copy of it for each test.

Names are random, so that parallel processes on one server never meet.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import quote, urlencode

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.embedded import embedded
from pgqueue.postgres.explain import explain
from pgqueue.postgres.migrate import migrate
from pgqueue.postgres.settings import resolve
from pgqueue.postgres.statements import statement

VARIABLE = "PGQUEUE_TEST_DSN"
QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
_LOCK_OUT = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"


class Server(Protocol):
    """A PostgreSQL server on which databases can be made; ``EmbeddedServer`` is one."""

    @property
    def dsn(self) -> str:
        """URL of a database that is there already."""
        ...

    def dsn_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        ...


class GivenServer:
    """The server of a DSN, where the role may create databases.

    Raises:
        ConfigurationError: The DSN cannot be read.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = resolve(dsn, None).dsn

    def dsn_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        more = {name: str(value) for name, value in conninfo_to_dict(self.dsn).items() if name != "dbname"}
        user, password = more.pop("user", ""), more.pop("password", None)
        secret = "" if password is None else f":{quote(password, safe='')}"
        who = f"{quote(user, safe='')}{secret}@" if user or secret else ""
        where = "" if any(mark in more.get("host", "/") for mark in "/,:") else more.pop("host")
        if where and "port" in more:
            where += f":{more.pop('port')}"
        options = f"?{urlencode(more, quote_via=quote)}" if more else ""
        return f"postgresql://{who}{where}/{quote(database, safe='')}{options}"


@contextmanager
def serving() -> Iterator[Server]:
    """Give the server that PGQUEUE_TEST_DSN names, else an embedded one that ends with the block.

    Raises:
        ConfigurationError: The DSN cannot be read.
        EmbeddedUnavailable: No embedded server can run here.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield GivenServer(given)
    else:
        with embedded(settings=QUICK) as server:
            yield server


class Template:
    """A migrated database of which copies are made."""

    def __init__(self, server: Server, schema: str, name: str) -> None:
        self._server = server
        self._schema = schema
        self._name = name
        self._numbers = itertools.count(1)

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Give the URL of a fresh copy, which is dropped after the block."""
        with _database(self._server, f"{self._name}_{next(self._numbers)}", self._name) as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(statement("testing/move_home", self._schema))
            yield dsn


@contextmanager
def template(server: Server, schema: str, prepare: Callable[[str], object]) -> Iterator[Template]:
    """Make a database, migrate it, let the application add its own tables, and keep it for the block.

    Args:
        prepare: Called with the database's URL.

    Raises:
        ConfigurationError: The role may not create databases.
        BackendUnavailable: The server cannot be reached.
    """
    name = f"pgqueue_test_{secrets.token_hex(5)}"
    with _database(server, name) as dsn:
        migrate(Settings(dsn, schema))
        prepare(dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            # Whoever stays connected, such as the pool of an engine, would keep it from being copied.
            connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
            connection.execute(_LOCK_OUT, (name,))
        yield Template(server, schema, name)


@contextmanager
def _database(server: Server, name: str, origin: str = "template1") -> Iterator[str]:
    create = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(origin))
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    _administer(server, create)
    try:
        yield server.dsn_of(name)
    finally:
        _administer(server, drop)


def _administer(server: Server, command: sql.Composed) -> None:
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(command)
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The database role may not create databases for tests ({str(error).splitlines()[0]}).",
            "Grant it CREATEDB, or override the fixture pgqueue_dsn with a migrated database of your own.",
        ) from error
    except psycopg.Error as error:
        raise explain(error, "", broken=False) or error from error
