"""One site for each framework: a database, the server, and a real worker beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer
from tests.conftest import TEMPLATE
from tests.frameworks.sites import PROJECT, Site, named, run, running
from tests.support import Watch

MIGRATE = """
from django.core.management import call_command
for alias in ("default", "europe"):
    call_command("migrate", database=alias)
"""
UVICORN = ("uvicorn", "--port", "0", "--log-level", "info")


@pytest.fixture(scope="session")
def django_site(server: EmbeddedServer) -> Iterator[Site]:
    """The Django project on WSGI and ASGI; its own migrations made the queue's tables."""
    programs = {
        "wsgi": ("manage", "runserver", "--noreload", "127.0.0.1:0"),
        "asgi": (*UVICORN, "project.asgi:application"),
        "worker": ("pgqueue", "worker", "project.worker:pgq", "-c", "10"),
    }
    with _database(server, "t_django", "template1") as dsn, _database(server, "t_europe", "template1") as europe:
        run(("manage", "shell", "-c", MIGRATE), dsn, PROJECT, EUROPE_DATABASE_URL=europe)
        with running(programs, dsn, PROJECT, EUROPE_DATABASE_URL=europe) as processes, Watch(named(dsn)) as watch:
            yield Site(dsn, watch, processes)


@pytest.fixture(scope="session")
def fastapi_site(server: EmbeddedServer) -> Iterator[Site]:
    """The FastAPI application."""
    programs = {
        "asgi": (*UVICORN, "examples.fastapi_shop:app"),
        "worker": ("pgqueue", "worker", "examples.fastapi_shop:pgq", "-c", "10"),
    }
    with (
        _database(server, "t_fastapi", TEMPLATE) as dsn,
        running(programs, dsn) as processes,
        Watch(named(dsn)) as watch,
    ):
        yield Site(dsn, watch, processes)


@pytest.fixture(scope="session")
def flask_site(server: EmbeddedServer) -> Iterator[Site]:
    """The Flask application."""
    programs = {
        "wsgi": ("flask", "--app", "examples.flask_shop", "run", "--port", "0"),
        "worker": ("pgqueue", "worker", "examples.flask_shop:pgq", "-c", "10"),
    }
    with _database(server, "t_flask", TEMPLATE) as dsn:
        run(("flask", "--app", "examples.flask_shop", "create-tables"), dsn)
        with running(programs, dsn) as processes, Watch(named(dsn)) as watch:
            yield Site(dsn, watch, processes)


@pytest.fixture
def site(request: pytest.FixtureRequest, framework: str) -> Site:
    """The site of the framework that the test's parameters name."""
    found: Site = request.getfixturevalue(f"{framework}_site")
    return found


@contextmanager
def _database(server: EmbeddedServer, name: str, template: str) -> Iterator[str]:
    """Make a database for all tests of a framework; afterwards check and drop it."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        if template == TEMPLATE:  # its home is another database
            with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
                fresh.execute("select pgqueue.adopt()")
        yield server.dsn_of(name)
        with psycopg.connect(server.dsn_of(name)) as used:
            misplaced = used.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"
