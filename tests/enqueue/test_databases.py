"""Ids repeat in every database: a job is asked about, and cancelled, where it was written or not at all."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from fastapi.encoders import jsonable_encoder
from psycopg import sql

from pgqueue import ConfigurationError, EmbeddedServer, HandleError, Job, JobNotFound, PgQueue, Task
from tests.conftest import TEMPLATE

Sending = Task[..., None]


def test_a_job_in_another_database_is_not_taken_for_ours(
    send: Sending, pgq: PgQueue[None], server: EmbeddedServer, database: psycopg.Connection
) -> None:
    ours = send.enqueue(1)
    name = sql.Identifier("t_another")
    with psycopg.connect(server.dsn, autocommit=True) as superuser:
        superuser.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(TEMPLATE)))
        try:
            with psycopg.connect(server.dsn_of("t_another")) as connection:
                connection.execute("select setval('pgqueue.job_id_seq', %s, false)", (int(ours.id),))
                theirs = send.using(connection).enqueue(2)
            assert theirs.id == ours.id
            asks: list[Callable[[], Any]] = [theirs.status, theirs.wait, theirs.result, theirs.cancel]
            for ask in asks:
                with pytest.raises(JobNotFound, match="in the database 't_another'"):
                    ask()
        finally:
            superuser.execute(sql.SQL("drop database {} with (force)").format(name))
    assert ours.status() == "ready"


def test_a_job_can_be_compared_copied_sent_as_json_and_to_another_process(send: Sending, pgq: PgQueue[None]) -> None:
    job = send.enqueue(1)
    assert job == pgq.job(job.id) == pgq.job(int(job.id)) == copy.deepcopy(job)
    assert json.loads(json.dumps(dataclasses.asdict(job)))["id"] == job.id
    assert jsonable_encoder(job)["task"] == "send"
    sent: Job[Any] = pickle.loads(pickle.dumps(job))
    assert sent == job
    with pytest.raises(ConfigurationError, match=r"pgq\.job"):
        sent.status()
    assert copy.copy(job).id == job.id


def test_a_call_bound_on_a_handle_is_refused_for_the_bulk_would_not_know_it(send: Sending, dsn: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(HandleError, match="enqueue_many"):
        send.using(connection).job(1)


def test_a_generator_that_ends_the_transaction_is_told_so(
    send: Sending, pgq: PgQueue[None], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.postgres.chunks.MOST", 25)
    with psycopg.connect(dsn) as connection:

        def jobs() -> Any:
            for number in range(100):
                if number == 60:
                    connection.commit()
                yield send.job(number)

        with pytest.raises(HandleError, match="was ended while a bulk"):
            pgq.using(connection).enqueue_many(jobs())
        connection.rollback()


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_function_that_nothing_would_run_is_no_task(pgq: PgQueue[None], kind: str) -> None:
    def generator() -> Any:
        yield 1

    async def async_generator() -> Any:
        yield 1

    with pytest.raises(Exception, match="yield") as refusal:
        pgq.task(generator if kind == "generator" else async_generator)
    assert type(refusal.value).__name__ == "TaskError"
