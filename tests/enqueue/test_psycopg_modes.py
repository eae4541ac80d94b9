"""psycopg in each of its modes: autocommit, pipeline, COPY, stream, threads, factories, encodings, two phases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

import psycopg
import pytest
from anyio import create_task_group
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row

from pgqueue import HandleError, JobExists, JobSpec, PgQueue, Task, Unique
from pgqueue.postgres import carriers
from tests.support import COPIED, Watch

pytestmark = pytest.mark.usefixtures("chunks_of_500")
Sending = Task[..., None]
COUNT = "select count(*) from pgqueue.job"
CHUNKED = 1200  # three chunks


class Stop(Exception):
    """What a caller's generator raises."""


def counted(database: psycopg.Connection) -> Any:
    """Return how many jobs there are."""
    row = database.execute(COUNT).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy connection is given up soon."""
    monkeypatch.setattr(carriers, "PATIENCE", 0.05)


def broken(send: Sending, size: int) -> Iterator[JobSpec[Any]]:
    """Give jobs, then raise."""
    yield from (send.job(number) for number in range(size))
    raise Stop


def test_an_autocommitting_connection_stores_at_once(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        job = send.using(connection).enqueue(1)
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert (job.transaction, job.status(), counted(database)) == (None, "ready", 1)
        with pytest.raises(Stop):
            pgq.using(connection).enqueue_many(broken(send, CHUNKED))
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert counted(database) == 1
        transactions = pgq.using(connection).enqueue_many(send.job(number) for number in range(CHUNKED))
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert connection.autocommit
    assert {job.transaction for job in transactions} == {None}
    written = "select count(*), count(distinct xmin::text) from pgqueue.job where id > %s"
    assert database.execute(written, (job.id,)).fetchone() == (CHUNKED, 1)


async def test_an_autocommitting_asynchronous_connection_stores_at_once(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await send.using(connection).aenqueue(1)
        assert counted(database) == 1
        with pytest.raises(Stop):
            await pgq.using(connection).aenqueue_many(broken(send, CHUNKED))
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert counted(database) == 1
        await pgq.using(connection).aenqueue_many(send.job(number) for number in range(COPIED))
        assert counted(database) == COPIED + 1


def test_in_a_transaction_of_an_autocommitting_connection_jobs_are_part_of_it(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            job = send.using(connection).enqueue(1)
            pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        assert counted(database) == 0
        connection.execute("begin")
        pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        assert counted(database) == 0
        connection.execute("commit")
    assert job.transaction is not None
    assert counted(database) == COPIED


@pytest.mark.parametrize("autocommit", [False, True])
def test_jobs_may_be_enqueued_within_a_pipeline(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, autocommit: bool
) -> None:
    with psycopg.connect(dsn, autocommit=autocommit) as connection:
        with connection.pipeline():
            connection.execute("select 1")
            jobs = [send.using(connection).enqueue(number) for number in range(3)]
            jobs += pgq.using(connection).enqueue_many(send.job(number) for number in range(3, CHUNKED))
            assert connection.execute(COUNT).fetchone() == (CHUNKED,)
        connection.commit()
    assert database.execute(
        "select array_agg(id::text order by (args -> 'user_id')::int) from pgqueue.job"
    ).fetchone() == ([job.id for job in jobs],)


@pytest.mark.parametrize("autocommit", [False, True])
async def test_jobs_may_be_enqueued_within_an_asynchronous_pipeline(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, autocommit: bool
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=autocommit) as connection:
        async with connection.pipeline():
            await connection.execute("select 1")
            for number in range(3):
                await send.using(connection).aenqueue(number)
            await pgq.using(connection).aenqueue_many(send.job(number) for number in range(CHUNKED))
        await connection.commit()
    assert counted(database) == CHUNKED + 3


@pytest.mark.parametrize("autocommit", [False, True])
def test_what_a_pipeline_rolls_back_never_existed(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, autocommit: bool
) -> None:
    send.using(key="k").enqueue(0)
    strict = send.using(key="k", unique=Unique(on_conflict="raise"))
    with psycopg.connect(dsn, autocommit=autocommit) as connection:
        with connection.pipeline(), connection.transaction(force_rollback=True):
            send.using(connection).enqueue(1)
            pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        with connection.pipeline(), connection.transaction():
            with pytest.raises(Stop):
                pgq.using(connection).enqueue_many(broken(send, CHUNKED))
            with pytest.raises(JobExists):
                pgq.using(connection).enqueue_many([send.job(1), strict.job(2)])
            send.using(connection).enqueue(3)
    assert database.execute("select array_agg(args -> 'user_id' order by id) from pgqueue.job").fetchone() == ([0, 3],)


@pytest.mark.usefixtures("impatient")
def test_during_a_copy_a_job_is_refused_in_one_sentence_and_the_copy_goes_on(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    database.execute("create table public.invoice (id integer)")
    with psycopg.connect(dsn) as connection:
        with connection.cursor().copy("copy public.invoice from stdin") as copy:
            copy.write_row((1,))
            with pytest.raises(
                HandleError, match=r"busy with another statement, such as a COPY or a stream.*before or after"
            ):
                send.using(connection).enqueue(1)
            with pytest.raises(HandleError):
                pgq.using(connection).enqueue_many([send.job(1)])
            copy.write_row((2,))
        send.using(connection).enqueue(2)
    assert database.execute("select count(*), (select count(*) from pgqueue.job) from public.invoice").fetchone() == (
        2,
        1,
    )


@pytest.mark.usefixtures("impatient")
async def test_during_an_asynchronous_copy_a_job_is_refused_too(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        async with connection.cursor().copy("copy (select 1) to stdout") as copy:
            with pytest.raises(HandleError, match="busy"):
                await send.using(connection).aenqueue(1)
            assert [row async for row in copy.rows()] == [("1",)]
        await send.using(connection).aenqueue(2)
    assert counted(database) == 1


@pytest.mark.usefixtures("impatient")
def test_during_a_stream_a_job_is_refused_and_the_stream_goes_on(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    with psycopg.connect(dsn) as connection:
        numbers = []
        for (number,) in connection.cursor().stream("select generate_series(1, 3)"):
            numbers.append(number)
            with pytest.raises(HandleError, match="busy"):
                send.using(connection).enqueue(number)
        send.using(connection).enqueue(4)
    assert (numbers, counted(database)) == ([1, 2, 3], 1)


@pytest.mark.usefixtures("impatient")
async def test_during_an_asynchronous_stream_a_job_is_refused_too(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        async for (number,) in connection.cursor().stream("select generate_series(1, 3)"):
            with pytest.raises(HandleError, match="busy"):
                await send.using(connection).aenqueue(number)
        await send.using(connection).aenqueue(4)
    assert counted(database) == 1


@pytest.mark.usefixtures("impatient")
def test_within_the_rows_of_an_executemany_a_job_is_refused_instead_of_waiting_for_ever(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    refused = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(2):
            with suppress(HandleError):
                refused.append(number)
                send.using(connection).enqueue(number)
                refused.pop()
            yield (number,)

    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany("select %s", rows())
        send.using(connection).enqueue(2)
    assert (refused, counted(database)) == ([0, 1], 1)


def test_another_thread_on_the_same_connection_is_waited_for(
    send: Sending, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    database.execute("select pg_advisory_lock(7)")
    with psycopg.connect(dsn, autocommit=True) as connection, ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(connection.execute, "select pg_advisory_xact_lock(7)")
        watch.until("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
        job = threads.submit(send.using(connection).enqueue, 1)
        assert not job.done()
        database.execute("select pg_advisory_unlock(7)")
        waiting.result(20)
        assert job.result(20).transaction is None  # it saw the connection idle, not in the other's transaction
    assert counted(database) == 1


def test_threads_that_never_pause_on_the_connection_are_no_hindrance(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    stop = Event()

    def never_pause() -> None:
        while not stop.is_set():
            connection.execute("select pg_sleep(0.001)")

    with psycopg.connect(dsn, autocommit=True) as connection, ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(never_pause) for _ in range(3)]
        try:
            jobs = [send.using(connection).enqueue(number) for number in range(30)]
        finally:
            stop.set()
        for one in busy:
            one.result(20)
    assert {job.transaction for job in jobs} == {None}
    assert counted(database) == 30


async def test_another_task_on_the_same_connection_is_waited_for(
    send: Sending, dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    database.execute("select pg_advisory_lock(7)")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection, create_task_group() as tasks:
        tasks.start_soon(connection.execute, "select pg_advisory_xact_lock(7)")
        await watch.auntil("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
        tasks.start_soon(send.using(connection).aenqueue, 1)
        tasks.start_soon(send.using(connection).aenqueue, 2)
        database.execute("select pg_advisory_unlock(7)")
    assert counted(database) == 2


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_connection_of_a_stricter_isolation_stays_so(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, level: IsolationLevel
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = level
        send.using(connection).enqueue(1)
        pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        shown = connection.execute("show transaction_isolation").fetchone()
        assert shown == (level.name.lower().replace("_", " "),)
        assert connection.isolation_level == level
    assert counted(database) == COPIED + 1


@pytest.mark.parametrize("end", ["commit", "rollback", "commit at once"])
def test_a_transaction_of_two_phases_carries_jobs(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, end: str
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.tpc_begin(connection.xid(1, f"shop {end}", "jobs"))
        connection.execute("set local pgqueue.notify = off")
        send.using(connection).enqueue(1)
        pgq.using(connection).enqueue_many(send.job(number) for number in range(COPIED))
        if end != "commit at once":
            connection.tpc_prepare()
        assert counted(database) == 0
        if end == "rollback":
            connection.tpc_rollback()
        else:
            connection.tpc_commit()
    assert counted(database) == (0 if end == "rollback" else COPIED + 1)


class Pair:
    """A row as a class."""

    def __init__(self, one: int) -> None:
        self.one = one


class Loud(psycopg.adapt.Loader):
    """Reads values in a way of the caller's own."""

    def load(self, data: Any) -> str:
        """Shout."""
        return f"{bytes(data).decode()}!"


class ShoutingCursor(psycopg.Cursor[Any]):
    """A cursor that no statement of ours may go through."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise AssertionError("the caller's cursor was used")


class ShoutingAsyncCursor(psycopg.AsyncCursor[Any]):
    """As ShoutingCursor."""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise AssertionError("the caller's cursor was used")


@pytest.mark.parametrize("rows", [dict_row, namedtuple_row, scalar_row, class_row(Pair)])
async def test_the_callers_row_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection, rows: Any
) -> None:
    with psycopg.connect(dsn, row_factory=rows) as connection:
        ids = [send.using(connection).enqueue(1).id]
        assert connection.row_factory == rows
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=rows) as asynchronous:
        ids.append((await send.using(asynchronous).aenqueue(2)).id)
    assert [r[0] for r in database.execute("select id::text from pgqueue.job j order by j.id")] == ids


@pytest.mark.parametrize("factory", [ShoutingCursor, psycopg.ClientCursor, psycopg.RawCursor])
def test_the_callers_cursor_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection, factory: Any
) -> None:
    with psycopg.connect(dsn, cursor_factory=factory) as connection:
        job = send.using(connection).enqueue(1)
    assert database.execute("select id::text from pgqueue.job").fetchall() == [(job.id,)]


async def test_the_callers_asynchronous_cursor_factory_does_not_matter(
    send: Sending, dsn: str, database: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, cursor_factory=ShoutingAsyncCursor) as connection:
        job = await send.using(connection).aenqueue(1)
    assert database.execute("select id::text from pgqueue.job").fetchall() == [(job.id,)]


@pytest.mark.parametrize("size", [1, COPIED])
def test_the_callers_own_way_to_read_numbers_stays_and_does_not_matter(
    pgq: PgQueue[None], send: Sending, dsn: str, database: psycopg.Connection, size: int
) -> None:
    with psycopg.connect(dsn) as connection:
        for kind in ("int4", "int8", "bool", "jsonb", "timestamptz"):
            connection.adapters.register_loader(kind, Loud)
        ids = pgq.using(connection).enqueue_many([send.job(number) for number in range(size)], returning="ids")
        assert connection.execute("select true, 7::int8").fetchone() == ("t!", "7!")
    assert database.execute("select array_agg(id::text order by id) from pgqueue.job").fetchone() == (ids,)
