"""Random histories: callers, operators and an auditor at work on one database, each in a thread of its own."""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from pgqueue import JobSpec, PgQueue
from pgqueue.model.options import JobOptions
from pgqueue.postgres.connections import Settings
from tests.storage.hands import ask, rows

Connection = psycopg.Connection[TupleRow]
QUEUES = ("left", "right")
LEVELS = ("read committed", "read committed", "read committed", "repeatable read", "serializable")
KINDS = (
    *("commit",) * 10, *("late",) * 3, *("savepoints",) * 3, *("roll back",) * 2, *("prepare",) * 2,
    "time out", "be terminated",
)  # fmt: skip

ENQUEUE = """
select pgqueue.enqueue('work', queue => %(queue)s, priority => %(priority)s, delay => make_interval(secs => %(delay)s))
"""


@dataclass(slots=True)
class Ledger:
    """What everybody did, by the ids of the jobs.

    Attributes:
        committed: Jobs whose transaction was committed.
        undone: Jobs whose transaction or savepoint was rolled back.
        handed: (id, run) as claims returned them, one element each.
        recorded: (id, run, verdict) of started runs that a finish answered done, or that settle knew of.
        lost: (id, run) of started runs that changed nothing.
        retried: Jobs that an operator brought back, one element each.
        problems: What must not happen.
        locked: How often a finish was answered locked.
    """

    committed: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    handed: list[tuple[int, int]] = field(default_factory=list)
    recorded: list[tuple[int, int, str]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    retried: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    locked: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One history.

    Attributes:
        storm: Whether workers lose connections, sleep past their lease and are rescued.
        limits: Sizes of claims.
        held: Whether a snapshot is held open from beginning to end.
    """

    seed: int
    seconds: float
    storm: bool
    limits: tuple[int, ...]
    held: bool


class Crowd:
    """All that happens beside the workers.

    Attributes:
        over: Set when no more jobs are written and no operator acts.
        quiet: Set when the workers are done too.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self.settings = settings
        self.plan = plan
        self.ledger = Ledger()
        self.over = threading.Event()
        self.quiet = threading.Event()
        self._pgq = PgQueue(settings.dsn)
        self._writers = [self._thread(self._write, f"writer {number}") for number in range(4)]
        self._others = [self._thread(self._operate, "operator"), self._thread(self._hold, "holder")]
        if plan.storm:
            self._others.append(self._thread(self._cut, "cutter"))
        self._auditor = self._thread(self._audit, "auditor")

    def start(self) -> None:
        """Start all threads."""
        for thread in (*self._writers, *self._others, self._auditor):
            thread.start()

    def end(self) -> None:
        """Let every open transaction end."""
        self.over.set()
        for thread in (*self._writers, *self._others):
            thread.join()

    def close(self) -> None:
        """End the auditor."""
        self.over.set()
        self.quiet.set()
        self._auditor.join()
        self._pgq.close()

    def _thread(self, act: Callable[[random.Random], None], name: str) -> threading.Thread:
        def run() -> None:
            try:
                act(random.Random(f"{self.plan.seed} {name}"))
            except Exception:  # noqa: BLE001 - told at the end, with the seed
                self.ledger.problems.append(f"{name}: {traceback.format_exc()}")

        return threading.Thread(target=run, name=name)

    def _connect(self, *, autocommit: bool = False) -> Connection:
        return psycopg.connect(self.settings.dsn, autocommit=autocommit)

    # Callers

    def _write(self, chance: random.Random) -> None:
        number = 0
        while not self.over.is_set():
            with self._connect() as connection:
                while not self.over.is_set() and not connection.closed:
                    number += 1
                    self._transact(connection, chance, f"{threading.current_thread().name} {number}")
                    self.over.wait(chance.random() * 0.02)

    def _transact(self, connection: Connection, chance: random.Random, name: str) -> None:
        kind, ids = chance.choice(KINDS), list[int]()
        connection.execute(f"set transaction isolation level {chance.choice(LEVELS)}".encode())
        if kind == "prepare":
            connection.execute("set local pgqueue.notify = off")
        for _ in range(chance.randint(1, 6)):
            if kind == "savepoints":
                ids += self._in_savepoint(connection, chance)
            ids += self._enqueue(connection, chance)
            if kind == "late":
                connection.execute("select pg_sleep(%s)", (chance.choice([0.0, 0.02, 0.1, 0.4]),))
        try:
            committed = self._end_transaction(connection, kind, name, chance)
        except errors.SerializationFailure:
            connection.rollback()
            committed = False
        (self.ledger.committed if committed else self.ledger.undone).update(ids)

    def _in_savepoint(self, connection: Connection, chance: random.Random) -> list[int]:
        undo = chance.random() < 0.5
        with connection.transaction(force_rollback=undo):
            ids = self._enqueue(connection, chance)
        if undo:
            self.ledger.undone.update(ids)
        return [] if undo else ids

    def _enqueue(self, connection: Connection, chance: random.Random) -> list[int]:
        options: dict[str, Any] = {
            "queue": chance.choice(QUEUES),
            "priority": chance.choice([0, 0, 0, 3, 9]),
            "delay": chance.choice([0.0, 0.0, 0.0, chance.randint(1, 300) / 1000]),
        }
        if chance.random() < 0.5:
            return [row[0] for row in connection.execute(ENQUEUE, options)]
        specs: list[JobSpec[object]] = [
            JobSpec("work", "{}", JobOptions.of(options)) for _ in range(chance.randint(1, 4))
        ]
        return [int(job.id) for job in self._pgq.using(connection).enqueue_many(specs)]

    def _end_transaction(self, connection: Connection, kind: str, name: str, chance: random.Random) -> bool:
        if kind == "roll back":
            connection.rollback()
        elif kind == "prepare":
            return self._prepare(connection, name, chance)
        elif kind == "time out":
            connection.execute("set local statement_timeout = '5ms'")
            self._fails(errors.QueryCanceled, lambda: connection.execute("select pg_sleep(10)"))
            connection.rollback()
        elif kind == "be terminated":
            with self._connect(autocommit=True) as other:
                ask(other, "select pg_terminate_backend(%s)", connection.info.backend_pid)
            self._fails(psycopg.OperationalError, lambda: connection.execute("select pg_sleep(10)"))
        else:
            connection.commit()
            return True
        return False

    def _prepare(self, connection: Connection, name: str, chance: random.Random) -> bool:
        verdict = "commit" if chance.random() < 0.7 else "rollback"
        connection.execute(f"prepare transaction '{name}'".encode())
        connection.commit()
        connection.autocommit = True
        connection.execute("select pg_sleep(%s)", (chance.choice([0.0, 0.1, 0.5]),))
        connection.execute(f"{verdict} prepared '{name}'".encode())
        connection.autocommit = False
        return verdict == "commit"

    def _fails(self, kind: type[Exception], act: Callable[[], object]) -> None:
        try:
            act()
        except kind:
            return
        raise AssertionError(f"no {kind.__name__}")

    # Operators and business transactions

    def _operate(self, chance: random.Random) -> None:
        with self._connect(autocommit=True) as connection:
            while not self.over.wait(0.01 + chance.random() * 0.02):
                live = [row[0] for row in rows(connection, "select id from pgqueue.job order by random() limit 4")]
                act = chance.choice(["cancel", "cancel and retry", "cancel and retry", "retry", "pause"])
                if act == "pause":  # so that jobs stand in their lane when they are cancelled
                    queue = chance.choice(QUEUES)
                    connection.execute("select pgqueue.pause(%s)", (queue,))
                    self.over.wait(chance.random() * 0.1)
                if act.startswith("cancel") or act == "pause":
                    connection.execute("select pgqueue.cancel_jobs(%s::bigint[])", (live,))
                if act == "retry":
                    query = "select id from pgqueue.job_history where state <> 'succeeded' order by random() limit 4"
                    live = [row[0] for row in rows(connection, query)]
                if act != "cancel":
                    self._retry(connection, live)
                if act == "pause":
                    connection.execute("select pgqueue.resume(%s)", (queue,))

    def _retry(self, connection: Connection, ids: list[int]) -> None:
        for job_id in ids:
            if ask(connection, "select pgqueue.retry(%s)", job_id) == "retried":
                self.ledger.retried.append(job_id)

    def _hold(self, chance: random.Random) -> None:
        """A business transaction that locks jobs for a while, in whatever order."""
        while not self.over.wait(chance.random() * 0.05):
            with self._connect() as connection:
                connection.execute(
                    "select from pgqueue.job order by id limit %s for update skip locked", (chance.randint(1, 5),)
                )
                connection.execute("select pg_sleep(%s)", (chance.random() * 0.1,))
                connection.rollback()

    def _cut(self, chance: random.Random) -> None:
        """The network takes connections of workers away, in the middle of whatever they do."""
        with self._connect(autocommit=True) as connection:
            while not self.over.wait(0.1 + chance.random() * 0.3):
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                    "and application_name in ('pgqueue claim', 'pgqueue finish', 'pgqueue move') order by random() limit 1"
                )

    def _audit(self, _: random.Random) -> None:
        with self._connect(autocommit=True) as connection:
            while not self.quiet.wait(0.03):
                if misplaced := rows(connection, "select * from pgqueue.misplaced_jobs"):
                    self.ledger.problems.append(f"misplaced: {misplaced}")
