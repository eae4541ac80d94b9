"""What 500 jobs cost from enqueue to history: WAL bytes, commits and statements of each step, measured on a quiet server."""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import psycopg

from pgqueue import EmbeddedServer, PgQueue, embedded
from pgqueue.backend import Outcome, WorkerInfo
from pgqueue.model.clock import monotonic
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from pgqueue.postgres.store import PostgresWorker
from pgqueue.worker.state import random_id

BATCH = 500
STEPS = ("enqueue", "claim", "finish")
PAYLOADS = {"small": 65, "1 KB": 1024, "10 KB": 10 * 1024}

# Nothing but the measured statements writes WAL here, and every statement stands in the log with its connection's purpose.
QUIET = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "log_statement": "all",
    "log_parameter_max_length": "0",
    "log_line_prefix": "%a|",
}
_LOGGED = re.compile(r"^pgqueue (\w+)\|LOG:  (?:statement|execute [^:]*): *(\S*)", re.MULTILINE)
_SEEN = "select pg_current_wal_insert_lsn() - '0/0', pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step cost for the whole batch. commits counts transactions that wrote."""

    wal: int
    commits: int
    statements: int


@contextmanager
def quiet_server(version: int = 18) -> Iterator[EmbeddedServer]:
    """Run a server on which WAL bytes are a property of the statements alone."""
    with embedded(version=version, settings=QUIET) as server:
        migrate(Settings(server.dsn, "pgqueue"))
        yield server


def payload_of(size: int, seed: int) -> str:
    """Return text that pglz cannot compress, which makes a JSON object of ``size`` bytes when passed as ``data``."""
    letters = string.ascii_letters + string.digits
    return "".join(random.Random(seed).choices(letters, k=size - len(json.dumps({"data": ""}, separators=(",", ":")))))


class Measure:
    """Runs batches through the real producer and the real worker's store, and tells what each step cost."""

    def __init__(self, server: EmbeddedServer, store: PostgresWorker, pgq: PgQueue[None]) -> None:
        self._log = server.folder / "server.log"
        self._store = store
        self._pgq = pgq
        self._connection = psycopg.connect(server.dsn, autocommit=True)
        self._marks: list[tuple[int, int, int]] = []
        self._lease = 0
        self._emptied: set[int] = set()

        @pgq.task(name="counted")
        async def counted(data: str) -> None: ...

        self._task = counted

    def close(self) -> None:
        """Close the asking connection."""
        self._connection.close()

    async def batch(self, size: int) -> dict[str, Cost]:
        """Take one batch of payloads of so many bytes from enqueue to history; return what each step cost."""
        specs = [self._task.job(payload_of(size, seed)) for seed in range(BATCH)]
        self._lease = random_id()
        self._marks = [self._mark()]
        self._pgq.enqueue_many(specs)
        self._marks.append(self._mark())
        claim = await self._store.claim("default", self._lease, BATCH)
        self._marks.append(self._mark())
        outcomes = [Outcome(j.id, j.run, j.lease, "succeeded", 0.0, monotonic(), None) for j in claim.jobs]
        answers = await self._store.finish(outcomes, self._emptied, monotonic())
        self._marks.append(self._mark())
        assert answers == ["done"] * BATCH
        self._emptied = {self._lease}
        between = zip(self._marks[:-1], self._marks[1:], strict=True)
        return {
            step: Cost(*(b - a for a, b in zip(x, y, strict=True))) for step, (x, y) in zip(STEPS, between, strict=True)
        }

    def _mark(self) -> tuple[int, int, int]:
        wal, xmax = self._connection.execute(_SEEN).fetchone() or (0, 0)
        return int(wal), xmax, self._statements()

    def _statements(self) -> int:
        """Count statements in the log. A pool's liveness check is an empty one, and is not counted."""
        return sum(1 for _, word in _LOGGED.findall(self._log.read_text(errors="replace")) if word)


@asynccontextmanager
async def measuring(server: EmbeddedServer) -> AsyncIterator[Measure]:
    """Yield a Measure whose connections and caches are warm."""
    pgq = PgQueue(server.dsn)
    store = PostgresWorker(Settings(server.dsn, "pgqueue"), monotonic)
    measure = Measure(server, store, pgq)
    try:
        await store.register(WorkerInfo(random_id(), "counter", "here", 1, "0", ("default",), 1))
        for _ in range(2):
            await measure.batch(65)
        yield measure
    finally:
        measure.close()
        await store.close()
        pgq.close()
