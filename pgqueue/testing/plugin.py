"""pytest fixtures for applications that use pgqueue. In your conftest.py::

pytest_plugins = ["pgqueue.testing.plugin"]

@pytest.fixture
def pgqueue_app():
    return shop.pgq
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgqueue.app import PgQueue
from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.scratch import Server, Template, serving, template
from pgqueue.postgres.settings import resolve_schema
from pgqueue.testing.jobs import Jobs


@pytest.fixture(scope="session")
def pgqueue_schema() -> str:
    """Name of the schema; PGQUEUE_SCHEMA, or "pgqueue". Override it when the application names another one."""
    return resolve_schema(None)


@pytest.fixture(scope="session")
def pgqueue_prepare() -> Callable[[str], object]:
    """Called once with the URL of the template. Override it to make the application's own tables there."""
    return lambda dsn: None


@pytest.fixture(scope="session")
def pgqueue_server() -> Iterator[Server]:
    """A PostgreSQL server: the one that PGQUEUE_TEST_DSN names, else an embedded one for this process."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def pgqueue_template(
    pgqueue_server: Server, pgqueue_schema: str, pgqueue_prepare: Callable[[str], object]
) -> Iterator[Template]:
    """The migrated database that each test gets a copy of."""
    with template(pgqueue_server, pgqueue_schema, pgqueue_prepare) as made:
        yield made


@pytest.fixture
def pgqueue_dsn(pgqueue_template: Template) -> Iterator[str]:
    """The URL of a fresh, migrated database, which is dropped after the test."""
    with pgqueue_template.copy() as dsn:
        yield dsn


@pytest.fixture
def pgqueue_app() -> PgQueue[Any]:
    """The application under test. Override it."""
    raise ConfigurationError(
        "No application is named.", "Write a fixture pgqueue_app in conftest.py that returns your PgQueue."
    )


@pytest.fixture
def jobs(pgqueue_app: PgQueue[Any], pgqueue_dsn: str, pgqueue_schema: str) -> Iterator[Jobs]:
    """The application's jobs, on a database of the test's own; afterwards the application is as before."""
    if pgqueue_app.schema != pgqueue_schema:
        raise ConfigurationError(
            f"The application is in the schema {pgqueue_app.schema!r}, the database for tests has {pgqueue_schema!r}.",
            "Override the fixture pgqueue_schema (session scope) to return the application's.",
        )
    with pgqueue_app.working_on(pgqueue_dsn):
        yield Jobs(pgqueue_app)
