"""Who may ask what of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from pgqueue import ConfigurationError, Job, JobNotCommitted, PgQueue
from tests.docs.pages import DOCS

Login = Callable[[str], PgQueue[None]]


@pytest.fixture
def login(database: psycopg.Connection, dsn: str) -> Iterator[Login]:
    """Make a login of one of our roles, and return an application that uses it."""
    made: list[tuple[sql.Identifier, PgQueue[None]]] = []

    def make(role: str) -> PgQueue[None]:
        name = f"results_{role}"
        database.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        database.execute("select pgqueue.grant_access(%s, %s)", (role, name))
        made.append((sql.Identifier(name), PgQueue(dsn.replace("postgres@", f"{name}@", 1))))
        return made[-1][1]

    yield make
    for name, pgq in made:
        pgq.close()
        database.execute(sql.SQL("drop owned by {0}").format(name))
        database.execute(sql.SQL("drop role {0}").format(name))


def test_a_producer_may_wait_but_sees_no_result_and_cancels_nothing(login: Login, pgq: PgQueue[None], dsn: str) -> None:
    producer = login("producer")

    @producer.task
    def note() -> None: ...

    job = note.enqueue()
    assert job.status() == "ready"
    with pytest.raises(ConfigurationError, match="may not do this"):
        job.cancel()
    with psycopg.connect(producer.settings.dsn) as connection, pytest.raises(JobNotCommitted):
        note.using(connection).enqueue().result()
    assert pgq.job(job.id).cancel() == "cancelled"
    assert job.wait() == "cancelled"
    with pytest.raises(ConfigurationError, match="may not do this"):
        job.result()


@pytest.mark.parametrize(("role", "outcome"), [("admin", "cancelled"), ("auditor", None), ("worker", None)])
def test_an_admin_cancels_and_the_others_look(login: Login, pgq: PgQueue[None], role: str, outcome: str | None) -> None:
    @pgq.task
    def note() -> None: ...

    job: Job[object] = login(role).job(note.enqueue().id)
    assert job.status() == "ready"
    if outcome is None:
        with pytest.raises(ConfigurationError, match="may not do this"):
            job.cancel()
        pgq.job(job.id).cancel()
    else:
        assert job.cancel() == outcome
    assert job.wait() == "cancelled"


def test_the_page_says_so() -> None:
    assert "`cancel()` is for admins" in (DOCS / "results.md").read_text()
