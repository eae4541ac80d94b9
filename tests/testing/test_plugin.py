"""The fixtures, in the project of somebody who uses them."""

from __future__ import annotations

import os

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue import ConfigurationError, EmbeddedServer
from pgqueue.postgres.scratch import GivenServer, template
from tests.support import ROOT

pytest_plugins = ["pytester"]

SHOP = """
    import os
    from pgqueue import PgQueue

    pgq = PgQueue("postgresql://nobody@127.0.0.1:1/nowhere")

    @pgq.task
    async def send(user: int) -> None:
        if user == 13:
            raise ValueError("unlucky")

    @pgq.task
    async def both(user: int) -> None:
        await send.aenqueue(user)
        send.enqueue(user + 1)
"""
CONFTEST = """
    import pytest
    import shop

    pytest_plugins = ["pgqueue.testing.plugin"]

    @pytest.fixture
    def pgqueue_app():
        return shop.pgq
"""
TESTS_OF_SENDING = """
    import psycopg
    import pytest
    import shop
    from pgqueue import BackendUnavailable
    from pgqueue.testing import Jobs

    seen = []

    @pytest.mark.parametrize("user", [1, 2])
    def test_send(jobs: Jobs, pgqueue_dsn, user):
        assert shop.pgq.settings.dsn == pgqueue_dsn
        seen.append(pgqueue_dsn)
        shop.send.enqueue(user)
        jobs.assert_enqueued(shop.send, count=1, user=user)
        assert [job.state for job in jobs.drain()] == ["succeeded"]

    @pytest.mark.anyio
    async def test_in_an_event_loop(jobs, anyio_backend):
        await shop.both.aenqueue(5)
        assert len(await jobs.adrain()) == 3

    def test_in_the_event_loop_of_a_drain(jobs):
        shop.both.enqueue(5)
        assert len(jobs.drain()) == 3

    def test_a_failure(jobs):
        shop.send.enqueue(13)
        jobs.drain()

    def test_afterwards():
        assert len(set(seen)) == 2
        assert shop.pgq.settings.dsn == "postgresql://nobody@127.0.0.1:1/nowhere"
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(seen[0])

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""
LEFT = "select datname from pg_database where datname like 'pgqueue_test_%'"


@pytest.fixture
def project(pytester: pytest.Pytester, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with an application and a conftest.py, on the server of these tests."""
    monkeypatch.setenv("PGQUEUE_TEST_DSN", server.dsn)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(pytester.path))
    pytester.makepyfile(shop=SHOP)
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nfilterwarnings = error\nanyio_mode = auto")
    return pytester


def test_each_test_has_a_database_of_its_own_and_the_application_is_as_before(
    project: pytest.Pytester, server: EmbeddedServer
) -> None:
    project.makepyfile(TESTS_OF_SENDING)
    result = project.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*1 of 1 job failed*", "*ValueError: unlucky"])
    result.stdout.no_fnmatch_line("*draining.py*")
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute(LEFT).fetchall() == []


def test_parallel_processes_do_not_meet(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        import shop

        @pytest.mark.parametrize("user", range(8))
        def test_send(jobs, user):
            shop.send.enqueue(user)
            jobs.assert_enqueued(count=1)
            assert len(jobs.drain()) == 1
        """
    )
    project.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider").assert_outcomes(passed=8)


def test_the_applications_own_tables_schema_and_database_can_be_said(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import psycopg
        import pytest
        from pgqueue import ConfigurationError, PgQueue

        @pytest.fixture(scope="session")
        def pgqueue_schema():
            return "jobs_eu"

        @pytest.fixture(scope="session")
        def pgqueue_prepare():
            def prepare(dsn):
                open = psycopg.connect(dsn, autocommit=True)
                open.execute("create table customer (id int)")
                opened.append(open)
            yield prepare
            opened.pop().close()

        opened = []

        @pytest.fixture
        def pgqueue_app(pgqueue_dsn):
            return PgQueue(pgqueue_dsn, schema="jobs_eu")

        def test_all(jobs, pgqueue_app, pgqueue_dsn):
            @pgqueue_app.task
            def note(): ...

            with psycopg.connect(pgqueue_dsn) as connection:
                connection.execute("insert into customer values (1)")
                note.using(connection).enqueue()
                jobs.on(connection).assert_enqueued(note)
                connection.rollback()
            jobs.refute_enqueued(note)
        """
    )
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_what_is_missing_is_said(project: pytest.Pytester) -> None:
    project.makeconftest('pytest_plugins = ["pgqueue.testing.plugin"]')
    project.makepyfile(
        test_missing="def test_it(jobs): ...",
        test_schema="""
        import pytest
        from pgqueue import PgQueue

        @pytest.fixture
        def pgqueue_app(): return PgQueue(schema="other")

        @pytest.fixture
        def pgqueue_dsn(): return "not asked for"

        def test_it(jobs): ...
        """,
    )
    result = project.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines_random(
        ["*No application is named. Write a fixture pgqueue_app*", "*Override the fixture pgqueue_schema*"]
    )


@pytest.mark.skipif("18" not in os.environ.get("PGQUEUE_TEST_POSTGRES", "18"), reason="once is enough")
def test_without_a_server_an_embedded_one_is_started(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGQUEUE_TEST_DSN")
    project.makepyfile(
        """
        import shop

        def test_send(jobs, pgqueue_server):
            shop.send.enqueue(1)
            assert len(jobs.drain()) == 1
            assert pgqueue_server.pid
        """
    )
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://ann:s%40c@db:5433/postgres", "postgresql://ann:s%40c@db:5433/x"),
        ("postgresql+psycopg://ann@db/postgres?sslmode=require", "postgresql://ann@db/x?sslmode=require"),
        ("host=/var/run user=ann dbname=postgres", "postgresql://ann@/x?host=%2Fvar%2Frun"),
        ("postgresql://a,b:1/postgres", "postgresql:///x?host=a%2Cb&port=%2C1"),
        ("postgresql:///postgres", "postgresql:///x"),
    ],
)
def test_the_url_of_another_database_of_a_server(given: str, url: str) -> None:
    asked = GivenServer(given)
    assert asked.dsn_of("x") == url
    assert conninfo_to_dict(url) == {**conninfo_to_dict(asked.dsn), "dbname": "x"}


def test_a_role_that_may_not_make_databases_is_told_what_to_do(server: EmbeddedServer) -> None:
    role = sql.Identifier("test_no_databases")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(role))
        try:
            given = GivenServer(make_conninfo(server.dsn, user="test_no_databases"))
            with pytest.raises(ConfigurationError, match="CREATEDB"), template(given, "pgqueue", lambda dsn: None):
                pytest.fail("it could not be made")
        finally:
            connection.execute(sql.SQL("drop role {}").format(role))
