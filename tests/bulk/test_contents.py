"""Whatever jobs of a bulk hold and however they are written, they come back equal and run in the order given."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgqueue import JobContext, JobSpec, PgQueue, Task, Unique
from tests.bulk.conftest import Shrink
from tests.support import COPIED, Watch
from tests.worker.harness import ENDED

Sending = Task[..., None]
HOSTILE = [
    *(
        "\t",
        "\n",
        "\r",
        "\\",
        "\\N",
        "\\.",
        "\\\\",
        "\\t",
        '"',
        "'",
        "{",
        "}",
        "{}",
        ",",
        "NULL",
        "null",
        "%s",
        "%(x)s",
        "$1",
        ":x",
    ),
    *(
        "é",
        "日本語",
        "🐘",
        "\u2028",
        "\x01",
        "\x7f",
        "\u0085",
        "\ufeff",
        " ",
        "a",
        "0",
        "--",
        "/*",
        ";",
        "\b",
        "\f",
        "\v",
    ),
]
LATER = datetime(2031, 1, 1, tzinfo=UTC)
COLUMNS = "task, queue, priority, max_retries, timeout, args, headers, tags, state, run_at"


def text_of(chance: random.Random, most: int = 6) -> str:
    """Return text made of what a COPY or an array might misread."""
    return "".join(chance.choices(HOSTILE, k=chance.randint(1, most)))


def declared(pgq: PgQueue[None], name: str) -> Sending:
    """Declare a task under a name."""

    def note(value: Any) -> None: ...

    return pgq.task(name=name)(note)


def mixed(pgq: PgQueue[None], chance: random.Random, count: int, *, later: bool) -> list[JobSpec[None]]:
    """Make jobs of several tasks with all sorts of options."""
    tasks = [declared(pgq, f"{number}{text_of(chance)}") for number in range(5)]

    def options() -> dict[str, Any]:
        every: dict[str, Callable[[], Any]] = {
            "queue": lambda: text_of(chance),
            "priority": lambda: chance.randint(0, 9),
            "max_retries": lambda: chance.randint(0, 32766),
            "timeout": lambda: chance.randint(1, 10**6) / 1000,
            "headers": lambda: {text_of(chance): text_of(chance) for _ in range(chance.randint(0, 3))},
            "tags": lambda: [text_of(chance) for _ in range(chance.randint(0, 3))] + [""] * chance.randint(0, 1),
            **({"run_at": lambda: LATER + timedelta(seconds=chance.randint(0, 9))} if later else {}),
        }
        return {name: every[name]() for name in chance.sample(sorted(every), chance.randint(0, len(every)))}

    choices = [chance.choice(tasks).using(**options()) for _ in range(count // 3)]
    values = (
        lambda: text_of(chance, 20),
        lambda: {text_of(chance): [text_of(chance), None, True, chance.random(), chance.randint(-(2**80), 2**80)]},
        lambda: [[text_of(chance)], {}],
    )
    return [chance.choice(choices).job(chance.choice(values)()) for _ in range(count)]


def expected(spec: JobSpec[None]) -> tuple[Any, ...]:
    """Return what an auditor should see of a job."""
    options = spec.options
    return (
        spec.task,
        options.queue or "default",
        options.priority or 0,
        25 if options.max_retries is None else options.max_retries,
        timedelta(milliseconds=round((options.timeout or 1800) * 1000)),
        json.loads(spec.args),
        dict(options.headers) if options.headers else None,
        list(options.tags) if options.tags else None,
        "ready" if options.run_at is None else "scheduled",
    )


def seen(database: psycopg.Connection, ids: list[str]) -> list[tuple[Any, ...]]:
    """Return what an auditor sees of jobs, in the order of their ids."""
    rows = database.execute(
        f"select {COLUMNS} from unnest(%s::bigint[]) with ordinality w(id, place) join pgqueue.all_jobs using (id) order by place",
        (ids,),
    )
    return rows.fetchall()


@pytest.mark.parametrize("later", [False, True], ids=["for now", "some later"])
@pytest.mark.parametrize("seed", range(3))
def test_mixed_jobs_come_back_equal_by_copy_as_arrays_and_alone(
    pgq: PgQueue[None], database: psycopg.Connection, shrink: Shrink, copied: list[int], seed: int, later: bool
) -> None:
    chance = random.Random(seed)
    specs = mixed(pgq, chance, COPIED, later=later)
    shrink(5000, copied_from=500)
    by_copy = pgq.enqueue_many(specs, returning="ids")
    assert copied == ([] if later else [COPIED])
    shrink(5000, copied_from=10**9)
    as_arrays = pgq.enqueue_many(specs, returning="ids")
    alone = [pgq.enqueue_many([spec], returning="ids")[0] for spec in specs[:50]]
    for ids in (by_copy, as_arrays, alone):
        for spec, row in zip(specs, seen(database, ids), strict=False):
            assert row[:-1] == expected(spec), f"seed {seed}"
            assert spec.options.run_at is None or row[-1] == spec.options.run_at, f"seed {seed}"


async def test_a_worker_runs_a_bulk_in_the_order_given_however_it_was_written(
    pgq: PgQueue[None], watch: Watch, shrink: Shrink, copied: list[int]
) -> None:
    ran: list[tuple[int, str | None, dict[str, str]]] = []

    @pgq.task(context=True)
    async def note(ctx: JobContext[None], number: int, text: str) -> None:
        ran.append((number, text, dict(ctx.headers)))

    chance = random.Random(7)
    wanted = [(number, text_of(chance), {"x": text_of(chance)}) for number in range(570)]
    specs = [note.using(headers=headers).job(number, text) for number, text, headers in wanted]
    specs[250:251] = [note.using(headers=wanted[250][2], key="alone").job(250, wanted[250][1])]
    shrink(100, copied_from=100)
    pgq.enqueue_many(specs, returning="count")
    assert copied == [100] * 4, "the chunk with the key and the last one went as arrays"
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, len(wanted), "succeeded")
    assert ran == wanted


def test_delayed_jobs_stand_in_scheduled_and_are_not_copied(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection, copied: list[int]
) -> None:
    soon = send.using(delay="1h")
    pgq.enqueue_many((soon.job(number) for number in range(COPIED)), returning="count")
    pgq.enqueue_many((send.using(run_at=LATER).job(number) for number in range(COPIED)), returning="count")
    assert copied == []
    row = database.execute(
        "select count(*), count(distinct due_at > now() + interval '50 minutes') from pgqueue.scheduled"
    )
    assert row.fetchone() == (2 * COPIED, 1)
    assert database.execute("select count(*) from pgqueue.ready").fetchone() == (0,)


def test_a_delay_of_nothing_is_for_now(pgq: PgQueue[None], send: Sending, copied: list[int]) -> None:
    pgq.enqueue_many(send.using(delay=0).job(number) for number in range(COPIED))
    assert copied == [COPIED]


def test_jobs_that_share_keys_are_not_copied(pgq: PgQueue[None], send: Sending, copied: list[int]) -> None:
    pgq.enqueue_many(send.using(key=str(number)).job(number) for number in range(COPIED))
    pgq.enqueue_many(send.using(unique=Unique()).job(number) for number in range(COPIED))
    assert copied == []


def test_a_chunk_ends_at_four_megabytes_too(pgq: PgQueue[None], send: Sending, database: psycopg.Connection) -> None:
    told: list[int] = []
    large = "x" * 100_000
    pgq.enqueue_many((send.job(number, large) for number in range(200)), returning="count", progress=told.append)
    sizes = [later - earlier for earlier, later in zip([0, *told], told, strict=False)]
    assert told[-1] == 200
    assert max(sizes) <= 75
    row = database.execute(
        "select count(*), min(length(args ->> 'note')), max(length(args ->> 'note')) from pgqueue.job"
    )
    assert row.fetchone() == (200, 100_000, 100_000)


@pytest.fixture
def role(database: psycopg.Connection, dsn: str) -> Iterator[Callable[[str], str]]:
    """Make a login of one of our roles, and return its DSN."""
    made: list[sql.Identifier] = []

    def make(which: str) -> str:
        name = f"bulk_{which}"
        made.append(sql.Identifier(name))
        database.execute(sql.SQL("create role {} login").format(made[-1]))
        database.execute("select pgqueue.grant_access(%s, %s)", (which, name))
        return dsn.replace("postgres@", f"{name}@", 1)

    yield make
    for name in made:
        database.execute(sql.SQL("drop owned by {0}").format(name))
        database.execute(sql.SQL("drop role {0}").format(name))


@pytest.mark.parametrize(("which", "chunks"), [("producer", []), ("worker", [1200])])
def test_a_role_that_may_not_write_the_tables_has_its_bulk_written_as_arrays(
    role: Callable[[str], str], which: str, chunks: list[int], copied: list[int], database: psycopg.Connection
) -> None:
    queue = PgQueue(role(which))

    @queue.task(name="send")
    def send(number: int) -> None: ...

    assert queue.enqueue_many((send.job(number) for number in range(1200)), returning="count") == 1200
    queue.close()
    assert copied == chunks
    stored = database.execute("select array_agg((args ->> 'number')::int order by id) from pgqueue.job").fetchone()
    assert stored == (list(range(1200)),)
