"""Arguments and results behind a codec, from the producer through a real worker to who asks for the result."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer, InvalidPayload, JobFailed, PgQueue, PgQueueError, RetryPolicy, Task, Unique
from pgqueue.contrib.encryption import Encryption
from tests.support import COPIED, Watch
from tests.worker.harness import Heard, errors_of, row_of, runs_of

PATIENCE = 20
SECRET = "4111-1111-sécret"
OLD, NEW = Encryption.new_key(), Encryption.new_key()
TABLES = ("job", "job_history", "job_attempt", "job_key", "all_jobs", "all_attempts", "operator_action")


def declare(pgq: PgQueue[None]) -> Task[[str], str]:
    """Declare the task of these tests: it returns what it is given."""

    @pgq.task(name="echo", retry=RetryPolicy(max_retries=5, delays=[0.05]))
    async def echo(card: str) -> str:
        return card

    return echo


def application(dsn: str, *keys: str, **options: Any) -> tuple[PgQueue[None], Task[[str], str]]:
    """Return an application that encrypts with the first of these keys."""
    pgq: PgQueue[None] = PgQueue(dsn, codec=Encryption(keys) if keys else None, **options)
    return pgq, declare(pgq)


async def close(*applications: PgQueue[None]) -> None:
    """Close the pools of applications."""
    for pgq in applications:
        pgq.close()
        await pgq.aclose()


@pytest.fixture
def log(server: EmbeddedServer, database: psycopg.Connection) -> Callable[[], str]:
    """What the server logs from now on: every statement and its parameters."""
    name = sql.Identifier(database.info.dbname)
    for setting in ("log_statement = 'all'", "log_parameter_max_length = -1", "log_parameter_max_length_on_error = -1"):
        database.execute(sql.SQL(f"alter database {{}} set {setting}").format(name))
    file = server.folder / "server.log"
    start = file.stat().st_size
    return lambda: file.read_bytes()[start:].decode(errors="replace")


def leaked(database: psycopg.Connection, *secrets: str) -> list[str]:
    """Return where a secret can be read."""
    found = []
    for table in TABLES:
        rows = str(database.execute(f"select t::text from pgqueue.{table} t").fetchall())
        bodies = database.execute(
            "select body from pgqueue.job union all select body from pgqueue.job_history"
        ).fetchall()
        text = rows + str([bytes(body) for (body,) in bodies if body is not None])
        found += [table for secret in secrets if secret in text or base64.b64encode(secret.encode()).decode() in text]
    return found


async def test_nothing_of_payload_and_result_can_be_read_in_the_database_or_its_log(
    dsn: str, database: psycopg.Connection, log: Callable[[], str]
) -> None:
    pgq, echo = application(dsn, NEW)
    bulk = [echo.job(f"{SECRET} {number}") for number in range(501)]
    jobs = [
        echo.enqueue(SECRET),
        await echo.aenqueue(SECRET),
        echo.using(key="a", tags=["shown"], headers={"shown": "too"}).enqueue(SECRET),
        *pgq.enqueue_many(bulk[:3]),
        *await pgq.aenqueue_many(bulk),
        echo.using(delay="1h").enqueue(SECRET),
    ]
    assert leaked(database, SECRET, "sécret") == []
    codecs = database.execute(
        "select count(*), count(args), count(distinct codec), min(codec) from pgqueue.job"
    ).fetchone()
    assert codecs == (len(jobs), 0, 1, "fernet")
    async with pgq.worker(concurrency=20):
        results = await pgq.agather(jobs[:-1], PATIENCE)
    assert results == [SECRET] * 3 + [spec_value(spec.args) for spec in (*bulk[:3], *bulk)]
    assert jobs[-1].cancel() == "cancelled"
    assert leaked(database, SECRET, "sécret") == []
    row = row_of(database, jobs[2].id)
    assert (row["args"], row["tags"], row["headers"]) == (None, ["shown"], {"shown": "too"})
    assert row["result"].keys() == {"$codec", "$body"}
    said = log()
    assert "enqueue_jobs" in said, "the log shows statements"
    assert "shown" in said, "the log shows parameters"
    assert [secret for secret in (SECRET, "sécret", "4111-1111") if secret in said] == []
    await close(pgq)


def spec_value(args: str) -> str:
    """Return the argument in the JSON of a call."""
    return args.removeprefix('{"card":"').removesuffix('"}')


async def test_what_is_said_of_a_value_that_does_not_fit_does_not_show_it(
    dsn: str, database: psycopg.Connection
) -> None:
    pgq: PgQueue[None] = PgQueue(dsn, codec=Encryption([NEW]))

    def wrong(card: str) -> date:
        return card  # type: ignore[return-value]

    returned = pgq.task(name="wrong")(wrong).enqueue(SECRET)
    async with pgq.worker(concurrency=1):
        assert await returned.await_(PATIENCE) == "succeeded"
    assert row_of(database, returned.id)["error_type"] == "pgqueue.InvalidPayload"
    assert leaked(database, SECRET, "4111-1111") == []
    await close(pgq)


async def test_what_is_said_of_an_argument_that_no_longer_fits_does_not_show_it(
    dsn: str, database: psycopg.Connection
) -> None:
    before, echo = application(dsn, NEW)
    job = echo.using(max_retries=0).enqueue(SECRET)
    after: PgQueue[None] = PgQueue(dsn, codec=Encryption([NEW]))

    @after.task(name="echo")
    def changed(card: date) -> None: ...

    async with after.worker(concurrency=1):
        assert await job.await_(PATIENCE) == "dead"
    assert row_of(database, job.id)["error_type"] == "pgqueue.InvalidArguments"
    assert leaked(database, SECRET, "4111-1111") == []
    await close(before, after)


@pytest.mark.parametrize("count", [1, 3, COPIED], ids=["one", "arrays", "copy"])
async def test_jobs_under_the_old_key_run_after_a_rotation(dsn: str, watch: Watch, count: int) -> None:
    (before, old_echo), (after, new_echo) = application(dsn, OLD), application(dsn, NEW, OLD)
    jobs = before.enqueue_many(old_echo.job(f"{number}") for number in range(count))
    jobs += after.enqueue_many(new_echo.job(f"{number}") for number in range(count))
    wanted = [f"{number}" for number in range(count)] * 2
    async with after.worker(concurrency=20):
        assert await after.agather(jobs, PATIENCE) == wanted
    only_new, _ = application(dsn, NEW)
    assert only_new.gather(only_new.job(job.id) for job in jobs) == wanted, "results are stored under the new key"
    only_old, _ = application(dsn, OLD)
    with pytest.raises(InvalidPayload, match="cannot be decrypted"):
        only_old.job(jobs[0].id).result()
    await close(before, after, only_new, only_old)


async def test_a_worker_without_the_codec_hands_the_job_back_at_no_cost_and_one_with_it_runs_it(
    dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    (pgq, echo), (without, _) = application(dsn, NEW), application(dsn)
    heard = Heard(without.events)
    job = echo.using(max_retries=0).enqueue(SECRET)
    async with without.worker(concurrency=1):
        await heard.wait("job.unreadable")
        await watch.auntil("select count(*) > 0 from pgqueue.job_attempt")
    kind, message = errors_of(database, job.id)[0]
    assert kind == "pgqueue.PayloadUnreadable"
    assert message == (
        "The payload was stored by the codec 'fernet', which this application does not have. "
        "Pass it to PgQueue(codec=...) or PgQueue(codecs=[...])."
    )
    async with pgq.worker(concurrency=1):
        assert await job.aresult(PATIENCE) == SECRET
    assert {outcome for _, _, outcome in runs_of(database, job.id)} == {"release", "succeeded"}
    with pytest.raises(InvalidPayload, match="does not have"):
        without.job(job.id).result()
    await close(pgq, without)


async def test_a_worker_with_another_key_hands_the_job_back_at_no_cost(
    dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    (pgq, echo), (other, _) = application(dsn, NEW), application(dsn, OLD)
    job = echo.using(max_retries=0).enqueue(SECRET)
    async with other.worker(concurrency=1):
        await watch.auntil("select count(*) > 0 from pgqueue.job_attempt where outcome = 'release'")
    kind, message = errors_of(database, job.id)[0]
    assert (kind, "no key fits" in message) == ("pgqueue.PayloadUnreadable", True)
    assert database.execute("select attempt from pgqueue.job").fetchone() == (0,)
    assert leaked(database, SECRET) == []
    await close(pgq, other)


class Shout:
    """A codec of an application's own."""

    name = "shout-1"

    def encode(self, payload: bytes, /) -> bytes:
        """Change the case."""
        return payload.swapcase()

    def decode(self, stored: bytes, /) -> bytes:
        """Change it back."""
        return stored.swapcase()


async def test_an_application_reads_what_was_stored_without_a_codec_or_by_another(dsn: str) -> None:
    plain, plain_echo = application(dsn)
    shouting: PgQueue[None] = PgQueue(dsn, codec=Shout())
    pgq, echo = application(dsn, NEW, codecs=[Shout()])
    texts = ["plain", "loud", "sealed"]
    tasks = (plain_echo, declare(shouting), echo)
    jobs = [task.enqueue(text) for task, text in zip(tasks, texts, strict=True)]
    async with pgq.worker(concurrency=3):
        assert await pgq.agather(jobs, PATIENCE) == texts
    await close(plain, shouting, pgq)


async def test_a_replaced_job_has_the_new_sealed_arguments(dsn: str, database: psycopg.Connection) -> None:
    pgq, echo = application(dsn, NEW)
    keyed = echo.using(key="one", unique=Unique(on_conflict="replace"), delay=0)
    paused = pgq.inspector.pause("default")
    assert paused == "paused"
    first, second = keyed.enqueue("first"), keyed.enqueue(SECRET)
    assert (first.id, second.replaced) == (second.id, True)
    assert leaked(database, SECRET, "first") == []
    pgq.inspector.resume("default")
    async with pgq.worker(concurrency=1):
        assert await second.aresult(PATIENCE) == SECRET
    await close(pgq)


UNIQUE = [Unique(), Unique(args=["card"]), True]


@pytest.mark.parametrize("unique", UNIQUE, ids=["all", "some", "True"])
def test_a_job_behind_a_codec_cannot_be_unique_by_its_arguments(
    dsn: str, database: psycopg.Connection, unique: Any
) -> None:
    pgq, echo = application(dsn, NEW)
    with psycopg.connect(dsn) as connection:
        connection.execute("create temporary table business (id int)")
        for enqueue in (
            lambda: echo.using(unique=unique).enqueue(SECRET),
            lambda: echo.using(connection, unique=unique).enqueue(SECRET),
            lambda: pgq.using(connection).enqueue_many([echo.job(SECRET), echo.using(unique=unique).job(SECRET)]),
        ):
            with pytest.raises(PgQueueError, match=r"unique by its arguments") as refusal:
                enqueue()
            assert "key" in refusal.value.remedy, "what to do is the remedy, and there is one"
            assert "PostgreSQL refuses a value" not in refusal.value.problem, "one sentence, not one in another"
        connection.execute("select * from business")  # the caller's transaction goes on
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)
    pgq.close()


class Broken(Shout):
    """A codec that cannot encode a certain payload."""

    def encode(self, payload: bytes, /) -> bytes:
        """Fail at the bad one."""
        if b"bad" in payload:
            raise RuntimeError("the key service is away")
        return super().encode(payload)


@pytest.mark.parametrize("count", [1, 3, COPIED], ids=["one", "arrays", "copy"])
def test_a_codec_that_fails_is_said_and_leaves_nothing_and_the_transaction_usable(
    dsn: str, database: psycopg.Connection, count: int
) -> None:
    pgq: PgQueue[None] = PgQueue(dsn, codec=Broken())
    echo = declare(pgq)
    specs = [*(echo.job("good") for _ in range(count - 1)), echo.job("bad")]
    with psycopg.connect(dsn) as connection:
        connection.execute("create temporary table business (id int)")
        for queue in (pgq, pgq.using(connection)):
            with pytest.raises((RuntimeError, PgQueueError), match="the key service is away") as failure:
                echo.enqueue("bad") if count == 1 else queue.enqueue_many(specs)
            assert isinstance(failure.value.__cause__ or failure.value, RuntimeError), "the codec's own error is told"
        connection.execute("select * from business")
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)
    pgq.close()


async def test_a_codec_that_fails_on_a_result_leaves_the_job_succeeded(dsn: str, database: psycopg.Connection) -> None:
    pgq: PgQueue[None] = PgQueue(dsn, codec=Broken())

    @pgq.task(name="worse")
    async def worse() -> str:
        return "bad"

    job = worse.enqueue()
    async with pgq.worker(concurrency=1):
        assert await job.await_(PATIENCE) == "succeeded"
    with pytest.raises(JobFailed, match="the key service is away"):
        job.result()
    assert row_of(database, job.id)["result"] is None
    await close(pgq)


class Undecodable(Shout):
    """A codec that breaks in its own way at reading."""

    def decode(self, stored: bytes, /) -> bytes:
        """Fail."""
        raise ZeroDivisionError("in the codec")


async def test_a_codec_that_fails_at_reading_costs_an_attempt_and_the_worker_goes_on(
    dsn: str, database: psycopg.Connection
) -> None:
    pgq: PgQueue[None] = PgQueue(dsn, codec=Shout())
    echo = declare(pgq)
    broken: PgQueue[None] = PgQueue(dsn, codec=Undecodable())
    declare(broken)
    plain, plain_echo = application(dsn)
    job, other = echo.using(max_retries=0).enqueue("x"), plain_echo.enqueue("plain")
    async with broken.worker(concurrency=1):
        async with asyncio.timeout(PATIENCE):
            assert [await job.await_(), await other.await_()] == ["dead", "succeeded"]
    assert errors_of(database, job.id) == [("ZeroDivisionError", "in the codec")]
    await close(pgq, broken, plain)
