"""Hostile names, the largest payload, bulks of any size: what is taken comes back exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue import InvalidPayload, JobContext, PgQueue, Task
from pgqueue.model.payload import LARGEST_PAYLOAD
from tests.support import Watch

Sending = Task[..., None]
HOSTILE = [
    "'; drop table pgqueue.job; --",
    'double "quotes"',
    "back\\slash\\",
    "{braces},{NULL}",
    "NULL",
    "null",
    "a,b,,c",
    "%s %(name)s %%",
    "{0} {schema} {{}}",
    "$1 $$ $body$",
    " leading and trailing ",
    "tab\tnew\nline\r",
    "日本語 🐘 é",
    "e\u0301 is not é",
    "\u202eright to left",
    "\x01\x7f\u0085",
    "ready:queue",
    "<b>&amp;</b>",
    "q" * 100,
    "🐘" * 100,
]


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 5))
async def test_hostile_names_come_back_exactly_from_claim_and_history(
    pgq: PgQueue[None], watch: Watch, number: int
) -> None:
    names = HOSTILE[number : number + 5]
    seen: dict[str, Any] = {}

    def declare(name: str) -> Task[[str], None]:
        @pgq.task(name=name, queue=name, context=True)
        async def work(context: JobContext[None], text: str) -> None:
            seen[name] = (context.task, context.queue, text, dict(context.headers), context.tags)

        return work

    for name in names:
        declare(name).using(headers={name: name}, tags=[name, name]).enqueue(name)
    async with pgq.worker(queues=names, concurrency=5):
        await watch.auntil("select count(*) = %s from pgqueue.job_history where state = 'succeeded'", len(names))
    assert seen == {name: (name, name, name, {name: name}, (name, name)) for name in names}
    for name in names:
        (record,) = pgq.inspector.jobs(queue=name, task=name)
        assert (record.queue, record.task, record.args) == (name, name, {"text": name})
        assert (record.headers, record.tags) == ({name: name}, [name, name])


async def test_hostile_names_that_sql_enqueued_reach_the_worker_too(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    seen: list[Any] = []

    @pgq.task(name="sql", context=True)
    async def work(context: JobContext[None], text: str) -> None:
        seen.append((text, dict(context.headers), context.tags))

    for name in HOSTILE:
        database.execute(
            "select pgqueue.enqueue('sql', %s, queue => %s, headers => %s, tags => %s)",
            (Jsonb({"text": name}), name, Jsonb({name: name}), [name]),
        )
    async with pgq.worker(queues=HOSTILE, concurrency=5):
        await watch.auntil("select count(*) = %s from pgqueue.job_history where state = 'succeeded'", len(HOSTILE))
    assert sorted(seen, key=str) == sorted(((name, {name: name}, (name,)) for name in HOSTILE), key=str)


def test_parameters_with_hostile_names_come_back_exactly(send: Sending, database: psycopg.Connection) -> None:
    deep: Any = {name: [name, {name: None}] for name in HOSTILE}
    send.enqueue(deep)
    assert database.execute("select args -> 'user_id' from pgqueue.job").fetchone() == (deep,)


def test_the_largest_payload_is_stored_whole(send: Sending, database: psycopg.Connection) -> None:
    room = LARGEST_PAYLOAD - len('{"user_id":""}')
    send.enqueue("é" * (room // 2))
    row = database.execute(
        "select length(args ->> 'user_id'), (args ->> 'user_id') = repeat('é', %s) from pgqueue.job", (room // 2,)
    )
    assert row.fetchone() == (room // 2, True)


def test_deep_nesting_is_stored_or_refused_but_never_breaks_the_transaction(send: Sending, dsn: str) -> None:
    deep: Any = "bottom"
    for _ in range(150):
        deep = [deep]
    deeper = deep
    for _ in range(250):
        deeper = [deeper]
    with psycopg.connect(dsn) as connection:
        with pytest.raises(InvalidPayload, match="200 levels"):
            send.using(connection).enqueue(deeper)
        send.using(connection).enqueue(deep)
        row = connection.execute("select args -> 'user_id' from pgqueue.job").fetchone()
    assert row == (deep,)


def test_many_tags_and_headers_come_back(send: Sending, database: psycopg.Connection) -> None:
    tags = [f"tag {number}" for number in range(1000)]
    headers = {f"header {number}": "x" * 100 for number in range(1000)}
    send.using(tags=tags, headers=headers).enqueue(1)
    assert database.execute("select tags, headers from pgqueue.job").fetchone() == (tags, headers)


async def test_an_empty_bulk_is_no_error_and_stores_nothing(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    assert pgq.enqueue_many([]) == []
    assert await pgq.aenqueue_many(iter(())) == []
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


def test_a_bulk_of_ten_thousand_keeps_order_and_options(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    ready, scheduled = send.using(queue="bulk", priority=3), send.using(run_at=later)
    size = 10_000
    jobs = pgq.enqueue_many((scheduled if number % 10 == 9 else ready).job(number) for number in range(size))
    assert len({job.id for job in jobs}) == size
    right = database.execute(
        """
        select count(*) from unnest(%s::bigint[]) with ordinality as given(id, place)
        join pgqueue.all_jobs j on j.id = given.id and (j.args -> 'user_id')::bigint = given.place - 1
          and j.state = case when given.place %% 10 = 0 then 'scheduled' else 'ready' end
        """,
        ([int(job.id) for job in jobs],),
    ).fetchone()
    assert right == (size,)
    in_order = database.execute(
        "select array_agg(job_id order by seq) = array_agg(job_id order by job_id) from pgqueue.ready"
    )
    assert in_order.fetchone() == (True,)
