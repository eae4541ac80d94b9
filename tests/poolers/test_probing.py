"""What stands between us and the server is found out, whatever the pooler is told to hide."""

from __future__ import annotations

import threading

import psycopg
import pytest

from pgqueue.model.errors import BackendUnavailable, ConfigurationError
from pgqueue.postgres import pooler
from pgqueue.postgres.connections import Link, Settings
from tests.pooler import Pooler, pooled
from tests.storage.hands import ask


def behind(front: Pooler, dsn: str) -> Settings:
    return Settings(front.dsn_of(dsn), "pgqueue")


def test_nothing_between_is_found_with_one_connection(settings: Settings, database: psycopg.Connection) -> None:
    opened = "select sessions from pg_stat_database where datname = current_database()"
    before = ask(database, opened)
    assert settings.pooling() == "direct"
    assert settings.pooling() == "direct"
    assert ask(database, opened) - before <= 1
    assert (settings.has_session, settings.only_polls) == (True, False)


@pytest.mark.parametrize("hidden", [{}, {"ignore_startup_parameters": "options"}], ids=["refused", "ignored"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_both_kinds_of_pooler_are_told_apart(dsn: str, mode: str, hidden: dict[str, str]) -> None:
    with pooled(dsn, mode, hidden) as front:
        settings = behind(front, dsn)
        assert settings.pooling() == mode
        assert settings.only_polls == (mode == "transaction")
        front.stop()
        assert settings.pooling() == mode, "it is looked for once"


@pytest.mark.parametrize(
    "shape",
    [{"server_round_robin": "1", "min_pool_size": "3"}, {"default_pool_size": "1"}],
    ids=["in turns", "one server"],
)
def test_a_pooler_is_found_however_it_chooses_the_server(dsn: str, shape: dict[str, str]) -> None:
    with pooled(dsn, "transaction", shape) as front:
        assert behind(front, dsn).pooling() == "transaction"


def test_a_pooler_is_found_while_others_take_the_servers_that_it_gives_back(dsn: str) -> None:
    with pooled(dsn, "transaction", {"default_pool_size": "2"}) as front:
        stop = threading.Event()

        def busy() -> None:
            with psycopg.connect(front.dsn_of(dsn), autocommit=True, prepare_threshold=None) as connection:
                while not stop.is_set():
                    connection.execute("select 1")

        others = [threading.Thread(target=busy) for _ in range(3)]
        for other in others:
            other.start()
        try:
            found = set()
            for _ in range(100):
                pooler.forget(front.dsn_of(dsn))
                found.add(behind(front, dsn).pooling())
        finally:
            stop.set()
            for other in others:
                other.join()
        assert found == {"transaction"}


def test_a_pooler_is_found_that_lends_the_same_two_servers_in_turns(dsn: str) -> None:
    with pooled(dsn, "transaction", {"default_pool_size": "2"}) as front:
        first, second, other = (psycopg.connect(front.dsn_of(dsn), autocommit=True) for _ in range(3))
        with first, second, other:
            with other.transaction():
                other.execute("select 1")
                server = pooler._server_of(first)
            with second.transaction():
                assert pooler._server_of(second) != server, "it is lent what the other gave back last"
                assert pooler._server_of(first) == server
            assert pooler._is_shared(first, second, server)


def test_who_waits_too_long_for_a_second_server_is_treated_as_lent_one_for_a_transaction(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "PATIENCE", 2.0)
    with pooled(dsn, "session", {"default_pool_size": "1"}) as front:
        assert behind(front, dsn).pooling() == "transaction"


def test_a_pool_without_a_free_server_is_an_error_and_nothing_is_believed(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "PATIENCE", 0.3)
    with pooled(dsn, "transaction", {"default_pool_size": "1"}) as front:
        settings = behind(front, dsn)
        with psycopg.connect(front.dsn_of(dsn)) as holder:
            holder.execute("select 1")
            with pytest.raises(psycopg.OperationalError):
                settings.pooling()
        assert pooler.known(settings.dsn) is None
        assert settings.pooling() == "transaction"


def test_a_pooler_that_lends_a_server_for_a_statement_is_refused(dsn: str) -> None:
    with pooled(dsn, "statement") as front, pytest.raises(ConfigurationError, match="pool_mode to transaction"):
        behind(front, dsn).pooling()


async def take_turns(links: list[Link], rounds: int) -> None:
    for _ in range(rounds):
        for link in links:
            await link.run("worker/beats")


@pytest.mark.parametrize("hidden", [{}, {"ignore_startup_parameters": "options"}], ids=["refused", "ignored"])
async def test_a_pooler_that_comes_later_is_found_after_the_first_error(
    dsn: str, monkeypatch: pytest.MonkeyPatch, hidden: dict[str, str]
) -> None:
    with pooled(dsn, "transaction", {"server_round_robin": "1", "min_pool_size": "2", **hidden}) as front:
        settings = behind(front, dsn)
        monkeypatch.setitem(pooler._found, settings.dsn, "direct")
        links = [Link(settings, "test"), Link(settings, "test")]
        try:
            with pytest.raises(BackendUnavailable):
                await take_turns(links, 20)
            assert pooler.known(settings.dsn) is None
            for link in links:
                await link.close()
            await take_turns(links, 2)
            assert pooler.known(settings.dsn) == "transaction"
        finally:
            for link in links:
                await link.close()
