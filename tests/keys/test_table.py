"""How long a key is held: every cell of the table in docs/keys.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from pgqueue import Job, PgQueue, Task, Unique
from pgqueue.model.unique import Scope
from pgqueue.postgres.connections import Settings
from tests.docs.pages import DOCS, table
from tests.keys.hold import Row, let_pass, rows, second
from tests.storage.hands import Hands, hands
from tests.support import Watch

Sending = Task[..., None]
HEADER = "| What became of the job | `started` | `finished` | `retention` | `ttl` |"
SCOPES: tuple[Scope, ...] = ("started", "finished", "retention", "ttl")


class Case:
    """A job that holds a key under a scope, a worker, and whoever acts on them."""

    def __init__(self, send: Sending, database: psycopg.Connection, worker: Hands, scope: Scope) -> None:
        self.send, self.database, self.worker, self.scope = send, database, worker, scope
        self.job: Job[Any] = self.enqueue(Unique(scope=scope, period="1h" if scope == "ttl" else None))

    def enqueue(self, unique: Unique) -> Job[Any]:
        """Enqueue under the key."""
        return self.send.using(key="order-42", unique=unique).enqueue(1)

    def operate(self, verb: str, answer: str) -> None:
        """Act as an operator does."""
        assert self.database.execute(f"select pgqueue.{verb}(%s)".encode(), (self.job.id,)).fetchone() == (answer,)

    def state(self) -> str:
        """Return where the job stands."""
        row = self.database.execute("select state from pgqueue.all_jobs where id = %s", (self.job.id,)).fetchone()
        assert row is not None
        return str(row[0])


async def _waits(case: Case) -> None:
    assert case.state() == "ready"


async def _replaced(case: Case) -> None:
    replacing = Unique(scope=case.scope, period="1h" if case.scope == "ttl" else None, on_conflict="replace")
    again = case.enqueue(replacing)
    assert (again.id, again.replaced) == (case.job.id, True)


async def _taken(case: Case) -> None:
    assert len(await case.worker.take()) == 1
    assert case.state() == "running"


async def _waits_for_its_retry(case: Case) -> None:
    assert await case.worker.finish(await case.worker.take(), "retry", delay=3600) == ["done"]
    assert case.state() == "scheduled"


async def _handed_back(case: Case) -> None:
    assert await case.worker.finish(await case.worker.take(), "release", started=False) == ["done"]
    assert case.state() == "ready"


async def _rescued(case: Case) -> None:
    await case.worker.take()
    assert (await case.worker.store.rescue({case.worker.id: 0})).jobs == 1
    assert case.state() == "ready"


async def _succeeded(case: Case) -> None:
    assert await case.worker.finish(await case.worker.take(), "succeeded") == ["done"]


async def _dead(case: Case) -> None:
    assert await case.worker.finish(await case.worker.take(), "dead") == ["done"]


async def _cancelled_before_it_ran(case: Case) -> None:
    case.operate("cancel", "cancelled")


async def _cancelled_while_it_ran(case: Case) -> None:
    held = await case.worker.take()
    case.operate("cancel", "signalled")
    assert await case.worker.finish(held, "cancelled") == ["done"]
    assert case.state() == "cancelled"


async def _brought_back(case: Case) -> None:
    await _dead(case)
    case.operate("retry", "retried")


async def _period_over(case: Case) -> None:
    case.database.execute("delete from pgqueue.job_key")
    case.job = case.enqueue(Unique(scope=case.scope, period="1h"))
    let_pass(case.database)
    assert case.state() == "ready"


EVENTS: dict[str, Callable[[Case], Awaitable[None]]] = {
    "waits": _waits,
    "was replaced": _replaced,
    "a worker has it": _taken,
    "waits for its retry": _waits_for_its_retry,
    "was handed back unrun": _handed_back,
    "was rescued": _rescued,
    "succeeded": _succeeded,
    "dead": _dead,
    "cancelled before it ran": _cancelled_before_it_ran,
    "cancelled while it ran": _cancelled_while_it_ran,
    "was brought back by an operator": _brought_back,
    "its period is over": _period_over,
}
CELLS = [
    (event, scope, cell)
    for event, *cells in table(DOCS / "keys.md", HEADER)
    for scope, cell in zip(SCOPES, cells, strict=True)
]


def test_the_table_tells_of_every_event_and_of_nothing_else() -> None:
    assert [row[0] for row in table(DOCS / "keys.md", HEADER)] == list(EVENTS)
    assert {cell for _, _, cell in CELLS} == {"held", "free"}


@pytest.mark.parametrize(("event", "scope", "stated"), CELLS)
async def test_a_key_is_held_as_the_table_says(
    send: Sending, database: psycopg.Connection, settings: Settings, event: str, scope: Scope, stated: str
) -> None:
    async with hands(settings) as worker:
        case = Case(send, database, worker, scope)
        await EVENTS[event](case)
        assert second(send, case.job, Unique()) == stated


@pytest.mark.parametrize(
    ("unique", "seconds"),
    [
        (Unique(), None),
        (Unique(scope="started"), None),
        (Unique(scope="retention"), 90 * 86400.0),
        (Unique(scope="retention", period="2d"), 2 * 86400.0),
        (Unique(scope="ttl", period="1h"), 3600.0),
        (Unique(period=60), 60.0),
    ],
    ids=str,
)
def test_a_period_counts_from_the_enqueue(
    send: Sending, database: psycopg.Connection, unique: Unique, seconds: float | None
) -> None:
    job = send.using(key="k", unique=unique).enqueue(1)
    assert rows(database) == [Row("default", "k", job.id, unique.scope, seconds)]


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_job_without_its_key_ends_like_any_other(
    send: Sending, database: psycopg.Connection, settings: Settings, scope: Scope
) -> None:
    """Another job has taken the key since the period of the first was over: only its own end frees it."""
    async with hands(settings) as worker:
        first = send.using(key="k", unique=Unique(scope=scope, period="1h")).enqueue(1)
        let_pass(database)
        held = await worker.take()
        other = send.using(key="k").enqueue(2)
        assert other.created
        assert await worker.finish(held) == ["done"]
        assert [row.job_id for row in rows(database)] == [other.id]
        assert first.id != other.id


async def test_a_key_until_started_is_free_when_the_handler_begins(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    created: list[bool] = []

    @pgq.task(name="follow", unique=Unique(scope="started"))
    async def follow(step: int) -> None:
        if step == 1:
            later = follow.using(delay="1h")
            created.extend([(await later.aenqueue(1)).created, (await later.aenqueue(1)).created])

    follow.enqueue(1)
    async with pgq.worker(concurrency=1):
        await watch.auntil("select count(*) = 1 from pgqueue.job_history where state = 'succeeded'")
    await pgq.aclose()
    assert created == [True, False]


async def test_a_key_until_started_that_an_enqueue_holds_locked_is_freed_at_the_end(
    send: Sending, database: psycopg.Connection, dsn: str, settings: Settings
) -> None:
    """A claim never waits; what it could not free is freed when the job ends."""
    async with hands(settings) as worker:
        job = send.using(key="k", unique=Unique(scope="started")).enqueue(1)
        with psycopg.connect(dsn) as business:
            business.execute("select from pgqueue.job_key for update")
            held = await worker.take()
            assert await worker.finish(held) == ["locked"]
            business.rollback()
        assert [row.job_id for row in rows(database)] == [job.id]
        assert await worker.finish(held) == ["done"]
        assert rows(database) == []


async def test_the_janitor_deletes_the_keys_whose_time_is_over_and_no_other(
    send: Sending, database: psycopg.Connection, dsn: str, settings: Settings
) -> None:
    kept = send.using(key="finished").enqueue(1)
    send.using(key="over", unique=Unique(scope="ttl", period="1h")).enqueue(1)
    send.using(key="locked", unique=Unique(scope="retention")).enqueue(1)
    let_pass(database)
    young = send.using(key="young", unique=Unique(scope="ttl", period="1h")).enqueue(1)
    async with hands(settings) as worker:
        with psycopg.connect(dsn) as business:
            business.execute("select from pgqueue.job_key where key = 'locked' for update")
            await worker.store.tidy()
            assert [row.key for row in rows(database)] == ["finished", "locked", "young"]
        await worker.store.tidy()
    assert [(row.key, row.job_id) for row in rows(database)] == [("finished", kept.id), ("young", young.id)]
