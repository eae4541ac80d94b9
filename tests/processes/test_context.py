"""What a handler in a child process knows of its job, and what it may ask of its worker."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue import JobLost
from pgqueue.tasks import Task
from pgqueue.worker.child_logs import LONGEST_RECORD, LONGEST_TEXT
from pgqueue.worker.children import Children
from tests.processes import shop
from tests.processes.driver import Started, held, outcome, returned, start, told


async def test_a_handler_has_its_context_and_so_have_its_helpers(children: Children) -> None:
    started = start(children, shop.facts, attempt=2, headers={"lang": "fr", "$datetime": "x"}, timeout=100)
    started.run.resumed = {"page": 3}
    report = await started.report()
    seen = json.loads(report.result or "")
    assert (seen["id"], seen["attempt"]) == (str(started.run.job.id), 3)
    assert seen["headers"] == {"lang": "fr", "$datetime": "x"}
    assert seen["resumed"] == {"page": 3}
    assert 90 < (datetime.fromisoformat(seen["deadline"]) - datetime.now(UTC)).total_seconds() <= 100


async def test_deps_are_made_once_a_child_and_context_variables_end_with_their_job(children: Children) -> None:
    first, second = await returned(children, shop.facts), await returned(children, shop.facts)
    assert first["deps"][0] is True, "made in the child"
    assert second["deps"] == [True, first["deps"][1] + 1]
    assert (first["mark"], second["mark"]) == ("", "")


async def test_a_route_runs_in_a_child_with_the_name_and_the_arguments_as_they_are(children: Children) -> None:
    route = shop.pgq.tasks.find("image:resize")
    assert route is not None
    run = held(shop.where, payload='{"path": "/a.png"}', task="image:resize")
    report = await children.run(run.job, route, run)
    assert report.result == '["image:resize",{"path":"/a.png"}]', report.error


async def test_plain_middleware_is_around_a_plain_handler_in_its_child(children: Children) -> None:
    started = start(children, shop.where)
    pid = json.loads((await started.report()).result or "")["pid"]
    assert await started.said(0.0) == f"begins in {pid}"
    alone = start(children, shop.where_async)
    await alone.report()
    assert alone.run.said.empty(), "and not around an async one"


@pytest.mark.parametrize("task", [shop.checkpoints, shop.acheckpoints], ids=["def", "async def"])
async def test_a_checkpoint_waits_for_the_worker_and_gets_its_refusal(children: Children, task: Task[..., Any]) -> None:
    started = start(children, task, {"page": 7})
    assert (await started.report()).result == '"stored"'
    assert started.run.stored == [{"page": 7}]
    refused = held(task, 1)
    refused.refusal = JobLost("Run 1 is over.", "Roll back.")
    report = await Started(children, task, refused).report()
    assert told(report) == ("pgqueue.JobLost", "Run 1 is over. Roll back.")


@pytest.mark.parametrize("task", [shop.checkpoints, shop.acheckpoints], ids=["def", "async def"])
@pytest.mark.parametrize("size", [70_000, 5_000_000])
async def test_a_checkpoint_that_is_too_large_is_refused_in_the_handler_and_its_child_goes_on(
    children: Children, task: Task[..., Any], size: int
) -> None:
    pid = (await returned(children, shop.where))["pid"]
    started = start(children, task, None, size)
    report = await started.report()
    assert report.verdict == "retry"
    assert told(report)[0] == "pgqueue.InvalidPayload"
    assert "at most 65536" in told(report)[1]
    assert started.run.stored == []
    assert (await returned(children, shop.where))["pid"] == pid


async def test_what_is_too_large_for_the_worker_never_leaves_the_child(children: Children) -> None:
    assert await returned(children, shop.says_too_much) == "refused"


async def test_mistakes_with_the_context_are_raised_in_the_handler(children: Children) -> None:
    assert told(await outcome(children, shop.blocks_with_a_checkpoint))[0] == "pgqueue.HandleError"
    assert told(await outcome(children, shop.overshoots))[0] == "pgqueue.InvalidOption"


@pytest.mark.parametrize(("how", "verdict"), [("nothing", "succeeded"), ("error", "retry"), ("_exit", "crashed")])
async def test_a_result_that_is_said_is_kept_whatever_becomes_of_the_run(
    children: Children, how: str, verdict: str
) -> None:
    started = start(children, shop.keep_result, how)
    assert (await started.report()).verdict == verdict
    assert started.run.value == f'{{"kept":"{how}"}}'


@pytest.mark.parametrize("how", ["message", "fact", "facts", "mapping", "name", "number"])
async def test_a_log_record_of_any_size_comes_cut_and_its_child_goes_on(
    children: Children, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    with caplog.at_level(logging.INFO):
        assert await returned(children, shop.logs_much, how) == "logged"
    (record,) = caplog.records
    if how == "message":
        assert len(record.getMessage()) == LONGEST_TEXT
    else:
        assert (record.getMessage(), vars(record)["size"]) == ("cut", 3)
    if how == "number":
        assert vars(record)["fact"] == "(int that cannot be shown)"
    assert len(str(vars(record))) < 5 * LONGEST_RECORD


async def test_log_records_of_a_child_are_the_workers_with_the_facts_of_the_job(
    children: Children, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        started = start(children, shop.logs)
        await started.report()
    records = {record.getMessage(): record for record in caplog.records}
    assert list(records) == ["plain text", "from the context", "caught"], "the levels are the worker's, too"
    plain, caught = records["plain text"], records["caught"]
    assert (plain.name, plain.levelname, plain.funcName) == ("shop.images", "INFO", "logs")
    assert vars(plain)["size"] == 3
    facts = {"job": started.run.job.id, "task": shop.logs.name, "queue": "default", "run": 1, "attempt": 1}
    assert all(vars(record)["fields"] == facts for record in records.values())
    assert "BadImage: broken" in (caught.exc_text or "")
    assert records["from the context"].name == "pgqueue.job"
