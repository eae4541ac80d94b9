"""What is asynchronous: waiting for a result, a bound session."""

from __future__ import annotations

import uuid

from tests.frameworks.sites import Site


def test_a_request_answers_with_the_result_of_its_job(fastapi_site: Site) -> None:
    status, placed, _ = fastapi_site.post("asgi", "/orders/assessed", reference="x" * 17)
    assert status == 201
    assert placed["risk"] == 17
    assert fastapi_site.ask("select state from pgqueue.all_jobs where id = %s", placed["job"]) == "succeeded"


def test_a_result_asked_for_before_the_commit_is_refused_and_nothing_is_kept(fastapi_site: Site) -> None:
    counts, enqueues = fastapi_site.counts(), fastapi_site.enqueues()
    status, body, _ = fastapi_site.post("asgi", "/orders/impatient", reference=uuid.uuid4().hex)
    assert status == 409
    assert body["detail"].startswith("The transaction that enqueued job ")
    assert body["detail"].endswith(" is still open, so nothing can run it yet.")
    assert fastapi_site.counts() == counts
    assert fastapi_site.enqueues() == enqueues + 1
