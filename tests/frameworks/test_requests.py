"""Each framework, each way to write it: the order and its job are one thing."""

from __future__ import annotations

import uuid

import pytest

from tests.frameworks.sites import Site

ROUTES = [
    ("django", "wsgi", "/orders"),
    ("django", "wsgi", "/orders/explicit"),
    ("django", "asgi", "/orders"),
    ("django", "asgi", "/orders/async"),
    ("fastapi", "asgi", "/orders"),
    ("fastapi", "asgi", "/orders/asyncpg"),
    ("fastapi", "asgi", "/orders/bound"),
    ("flask", "wsgi", "/orders"),
    ("flask", "wsgi", "/bound/orders"),
]
# How many connections stay when nobody asks: Django closes them, SQLAlchemy keeps the five of each engine's pool.
KEPT = {"django": 0, "fastapi": 10, "flask": 5}
IN_THE_WEB = (
    "datname = current_database() and application_name in ('wsgi', 'asgi', '') and backend_type = 'client backend'"
)

pytestmark = pytest.mark.parametrize(
    ("framework", "server_name", "path"), ROUTES, ids=[" ".join(route) for route in ROUTES]
)


@pytest.fixture
def reference() -> str:
    """A name that no order has yet."""
    return uuid.uuid4().hex


def test_an_order_and_its_job_are_both_there_and_a_worker_runs_the_job(
    site: Site, server_name: str, path: str, reference: str
) -> None:
    status, placed, _ = site.post(server_name, path, reference=reference)
    assert status == 201
    assert site.ask("select id from shop_order where reference = %s", reference) == placed["order"]
    args = site.ask("select args from pgqueue.all_jobs where id = %s and task = 'shop.send_receipt'", placed["job"])
    assert args == {"order_id": placed["order"]}
    site.watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", placed["job"])
    assert site.ask("select count(*) from shop_receipt where order_id = %s", placed["order"]) == 1


def test_a_request_that_fails_after_the_enqueue_leaves_neither(
    site: Site, server_name: str, path: str, reference: str
) -> None:
    counts, enqueues = site.counts(), site.enqueues()
    assert site.post(server_name, path, reference=reference, card="stolen").status == 500
    assert site.counts() == counts
    assert site.enqueues() == enqueues + 1, "it was enqueued, and rolled back"


def test_a_request_whose_commit_fails_leaves_neither_and_says_so(
    site: Site, server_name: str, path: str, reference: str
) -> None:
    assert site.post(server_name, path, reference=reference).status == 201
    counts, enqueues = site.counts(), site.enqueues()
    assert site.post(server_name, path, reference=reference).status == 500
    assert site.counts() == counts
    assert site.enqueues() == enqueues + 1, "it was enqueued, and rolled back"


def test_twenty_requests_at_once_make_twenty_orders_and_jobs_and_leave_no_connection(
    site: Site, framework: str, server_name: str, path: str, reference: str
) -> None:
    orders, jobs = site.counts()
    answers = site.post_all(server_name, path, [f"{reference} {number}" for number in range(20)])
    assert [answer.status for answer in answers] == [201] * 20
    assert site.counts() == (orders + 20, jobs + 20)
    ended = "select count(*) = 20 from pgqueue.all_jobs where id = any(%s::bigint[]) and state = 'succeeded'"
    site.watch.until(ended, [answer.body["job"] for answer in answers])
    receipts = "select count(*) from shop_receipt where order_id = any(%s)"
    assert site.ask(receipts, [answer.body["order"] for answer in answers]) == 20
    site.watch.until(f"select count(*) = 0 from pg_stat_activity where {IN_THE_WEB} and state <> 'idle'")
    site.watch.until(f"select count(*) <= %s from pg_stat_activity where {IN_THE_WEB}", KEPT[framework])
