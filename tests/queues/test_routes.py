"""Routes by prefix, and tasks that are declared elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from pgqueue import InvalidArguments, InvalidOption, JobContext, PgQueue, TaskError
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, row_of


async def test_the_exact_name_wins_then_the_longest_prefix(pgq: PgQueue[None], watch: Watch) -> None:
    ran: list[tuple[str, str, Any]] = []

    def noting(by: str) -> Any:
        async def run(ctx: JobContext[None], args: Mapping[str, Any]) -> None:
            ran.append((by, ctx.task, dict(args)))

        return run

    pgq.route("image:")(noting("image:"))
    pgq.route("image:thumb")(noting("image:thumb"))
    pgq.route("i")(noting("i"))

    @pgq.task(name="image:resize")
    async def resize(path: str) -> None:
        ran.append(("exact", "image:resize", {"path": path}))

    names = ("image:resize", "image:rotate", "image:thumbnail", "image:thumb", "image:", "index", "image:resize2")
    for name in names:
        pgq.named(name).enqueue(path=name)
    async with pgq.worker(queues=["default"], concurrency=1):
        await watch.auntil(ENDED, 7, "succeeded")
    by = ("exact", "image:", "image:thumb", "image:thumb", "image:", "i", "image:")
    assert ran == [(which, name, {"path": name}) for which, name in zip(by, names, strict=True)]


async def test_a_plain_route_runs_in_a_thread_and_its_result_and_failures_count(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.route("x:")
    def route(ctx: JobContext[None], args: Mapping[str, Any]) -> dict[str, Any]:
        if args["fail"]:
            raise KeyError(ctx.task)
        return {"sum": sum(args["numbers"]), "by": ctx.task}

    good = pgq.named("x:add").enqueue(numbers=[1, 2], fail=False)
    bad = pgq.named("x:bad").using(max_retries=0).enqueue(fail=True)
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "succeeded", good.id)
        await watch.auntil(STATE, "dead", bad.id)
    assert row_of(database, good.id)["result"] == {"sum": 3, "by": "x:add"}


async def test_what_no_task_and_no_route_runs_is_still_handed_back(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.route("known:")
    async def route(ctx: JobContext[None], args: Mapping[str, Any]) -> None: ...

    heard = Heard(pgq.events)
    job = pgq.named("unknown:x").enqueue(a=1)
    async with pgq.worker(queues=["default"]):
        [told] = await heard.wait("job.unknown_task")
        assert (told["job"], told["task"]) == (int(job.id), "unknown:x")
        await watch.auntil(STATE, "scheduled", job.id)


async def test_a_task_of_elsewhere_takes_the_options_of_any_task(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    job = pgq.named("x:y").using(queue="q", priority=3, max_retries=2, tags=["t"], key="k").enqueue(a=1, b=["c"])
    row = row_of(database, job.id)
    assert {name: row[name] for name in ("task", "queue", "priority", "max_retries", "tags", "args")} == {
        "task": "x:y", "queue": "q", "priority": 3, "max_retries": 2, "tags": ["t"], "args": {"a": 1, "b": ["c"]}
    }  # fmt: skip
    assert not pgq.named("x:y").using(queue="q", key="k").enqueue(a=2).created
    assert (await pgq.named("x:y").aenqueue()).created
    pgq.enqueue_many([pgq.named("x:y").job(a=n) for n in range(2)])
    await pgq.aclose()


def test_wrong_routes_and_names_are_refused(pgq: PgQueue[None]) -> None:
    with pytest.raises(InvalidArguments, match="by keyword"):
        pgq.named("x:y").enqueue(1)
    with pytest.raises(InvalidOption):
        pgq.named("")
    with pytest.raises(TaskError, match="cannot be called with the context and a mapping"):
        pgq.route("x:")(lambda ctx: None)
    with pytest.raises(TaskError, match="fit"):
        pgq.route("x:", executor="loop")(lambda ctx, args: None)
    pgq.route("x:")(lambda ctx, args: None)
    with pytest.raises(TaskError, match="Two functions"):
        pgq.route("x:")(lambda ctx, args: None)
    pgq.task(name="x:")(lambda: None)
    with pytest.raises(TaskError, match="declared elsewhere"):
        pgq.named("x:z")()
