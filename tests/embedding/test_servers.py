"""Workers inside real servers: requests enqueue, each process has a worker of its own, and TERM ends all in time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.embedding.site import STOP_SECONDS
from tests.frameworks.conftest import UVICORN
from tests.frameworks.sites import PROJECT, Process, post, running
from tests.support import ROOT, Watch

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
OUTCOMES = "select task, state, attempt, count(*)::int from pgqueue.all_jobs group by 1, 2, 3 order by 1, 2, 3"


def test_four_processes_have_four_workers_and_term_ends_all_in_time_and_loses_no_job(
    dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    programs = {"asgi": (*UVICORN, "--workers", "4", "tests.embedding.site:app")}
    with running(programs, dsn) as processes, ThreadPoolExecutor(8) as pool:
        server = processes["asgi"]
        address = server.address()
        watch.until("select count(distinct pid) = 4 from pgqueue.worker")
        answers = list(pool.map(lambda hold: post(address, "/jobs", {"quick": "10", "hold": hold}), "10" * 10))
        assert {answer.status for answer in answers} == {202}
        watch.until("select count(*) = 200 from pgqueue.job_history")
        watch.until("select count(*) = 10 from pgqueue.all_jobs where state = 'running'")
        more = post(address, "/jobs", {"quick": "500", "hold": "0"})
        told = time.monotonic()
        server.terminate()
        server.wait()
        took = time.monotonic() - told
    enqueued = [job for answer in [*answers, more] for job in answer.body]
    rows = database.execute("select id::text from pgqueue.all_jobs").fetchall()
    assert sorted(job for (job,) in rows) == sorted(enqueued), server.output
    assert len(enqueued) == len(set(enqueued)) == 210 + 500
    assert database.execute(OUTCOMES).fetchall() == [("hold", "ready", 0, 10), *quick_ones(database)]
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,), server.output
    assert took < STOP_SECONDS + 4
    assert "Traceback" not in server.output


def quick_ones(database: psycopg.Connection) -> list[tuple[str, str, int, int]]:
    """Return the rows of the quick jobs when each has succeeded or stands where it was, with no attempt paid."""
    rows = [row for row in database.execute(OUTCOMES).fetchall() if row[0] == "quick"]
    assert {(state, attempt) for _, state, attempt, _ in rows} <= {("succeeded", 1), ("ready", 0)}, rows
    assert sum(count for *_, count in rows) == 700
    return rows


@pytest.mark.parametrize("module", ["fastapi_app", "starlette_app"])
def test_a_worker_in_the_lifespan_runs_what_a_request_enqueued(
    module: str, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    programs = {"asgi": (*UVICORN, f"examples.worker_inside.{module}:app")}
    with running(programs, dsn) as processes:
        answer = post(processes["asgi"].address(), "/greetings", {"name": "Ada"})
        assert answer.status == 202
        watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", answer.body["job"])
    assert database.execute("select result from pgqueue.all_jobs").fetchone() == ("Hello, Ada!",)
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
    assert "Traceback" not in processes["asgi"].output


def test_django_has_no_lifespan_and_its_worker_starts_and_stops_all_the_same(
    dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    for table in (
        "shop_order (id bigserial primary key, reference text unique)",
        "shop_receipt (order_id bigint primary key)",
    ):
        database.execute(f"create table {table}".encode())
    programs = {"asgi": (*UVICORN, "project.asgi_with_worker:application")}
    with running(programs, dsn, PROJECT) as processes:
        answer = post(processes["asgi"].address(), "/orders", {"reference": "one", "card": "4242"})
        assert answer.status == 201, processes["asgi"].output
        watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", answer.body["job"])
    assert database.execute("select order_id from shop_receipt").fetchall() == [(answer.body["order"],)]
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
    assert "Traceback" not in processes["asgi"].output


@pytest.mark.parametrize("application", ["tests.embedding.site:app", "examples.worker_inside.fastapi_app:app"])
def test_a_server_whose_worker_cannot_start_does_not_start_and_says_why(application: str) -> None:
    server = Process((*UVICORN, application), {"DATABASE_URL": NOWHERE}, ROOT)
    server.wait()
    assert "Application startup failed. Exiting." in server.output
    assert "Uvicorn running" not in server.output
    assert "PostgreSQL cannot be reached" in server.output
    assert ("Traceback" in server.output) == ("fastapi" in application), "the framework's own way to say it"


def test_the_programs_of_the_page_work(dsn: str, database: psycopg.Connection, watch: Watch) -> None:
    with running({"script": ("examples.worker_inside.script",)}, dsn) as processes:
        watch.until("select count(*) = 10 from pgqueue.job_history where state = 'succeeded'")
        processes["script"].wait()
    assert processes["script"].output == "285\n"
    database.execute("select pgqueue.enqueue('inside.greet', '{\"name\": \"Ada\"}')")
    with running({"program": ("examples.worker_inside.program",)}, dsn):
        watch.until("select count(*) = 11 from pgqueue.job_history where state = 'succeeded'")
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
