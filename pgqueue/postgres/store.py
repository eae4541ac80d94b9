"""One registered worker's view of the storage. Each method is one statement of sql/; the cursors are kept here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import errors
from psycopg.rows import TupleRow

from pgqueue.backend import (
    PROTOCOL,
    Agenda,
    Answer,
    Beats,
    Claim,
    Notice,
    Outcome,
    Progress,
    Promotion,
    Rescue,
    View,
    WorkerInfo,
)
from pgqueue.model.clock import Clock
from pgqueue.model.errors import ConfigurationError, SchemaError
from pgqueue.model.job import ClaimedJob
from pgqueue.model.poison import MOST_CRASHES, POISON
from pgqueue.postgres import pooler
from pgqueue.postgres.connections import HASTY, UNPINNED, Link, Settings
from pgqueue.postgres.cursor import LaneCursor, Snapshot
from pgqueue.postgres.heart import PostgresHeart
from pgqueue.postgres.literals import numbers, texts
from pgqueue.postgres.notify import notices
from pgqueue.postgres.outcomes import answers, runs
from pgqueue.postgres.partitions import keep_history
from pgqueue.postgres.upkeep import tidy

PRIORITIES = tuple(range(9, -1, -1))
_PRIORITIES = numbers(PRIORITIES)
_LONG_AGO = (datetime(1, 1, 1, tzinfo=UTC), 0)
_RESCUE_LEASES = 100
_ALERT_SECONDS = 5.0  # so long after the last job a worker that nobody can notify looks every 0.2 s, then at each poll


class PostgresWorker:
    """The lanes as one worker sees them. See ``backend.WorkerBackend``.

    Args:
        settings: Where the jobs are.
        clock: Monotonic seconds.
        emit: Told of a pooler; as ``Events.emit``.
    """

    def __init__(self, settings: Settings, clock: Clock, emit: Callable[..., None] | None = None) -> None:
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._worker = 0
        self._claiming = Link(settings, "claim", HASTY)
        self._finishing = Link(settings, "finish")
        self._moving = Link(settings, "move", HASTY)
        self._keeping = Link(settings, "keep")  # connects when a handler first keeps a checkpoint
        self._heart = PostgresHeart(settings)
        self._ready: dict[str, LaneCursor[int]] = {}
        self._scheduled: dict[str, LaneCursor[tuple[datetime, int]]] = {}
        self._idle: dict[str, bool] = {}
        self._generation: dict[str, int | None] = {}
        self._epochs = (0, 0)
        self._server_time = 0.0
        self._unnotified: set[int] | None = None
        self._last_found = clock()

    async def register(self, info: WorkerInfo) -> None:
        """Make this worker known; later calls act in its name.

        Raises:
            ConfigurationError: The database is a copy of the one where the jobs belong.
        """
        who = {
            "worker": info.id,
            "name": info.name,
            "hostname": info.hostname,
            "pid": info.pid,
            "version": info.version,
            "protocol": PROTOCOL,
        }
        rows = await self._moving.run(
            "worker/register", {**who, "queues": list(info.queues), "concurrency": info.concurrency}
        )
        at_home, least = rows[0]
        if not at_home:
            raise ConfigurationError(
                "This database is a copy: its jobs belong to another server, which may still run them.",
                "If they are to run here, run: pgqueue adopt",
            )
        if least > PROTOCOL:
            raise SchemaError(
                f"The schema takes workers of protocol {least}, and this one speaks {PROTOCOL}.",
                "Install a later version of pgqueue on this worker.",
            )
        self._worker = info.id
        self._tell_of_pooler()

    @property
    def listens(self) -> bool:
        """Whether notifications can arrive; known once the worker is registered."""
        return not self._settings.only_polls

    def _tell_of_pooler(self) -> None:
        pooling = pooler.known(self._settings.dsn)
        emit, self._emit = self._emit, None
        if emit is not None and pooling in ("session", "transaction"):
            emit("worker.pooled", pooling=pooling, woken_by="notifications" if self.listens else "polling")

    async def claim(self, queue: str, lease: int, limit: int) -> Claim:
        """Take up to ``limit`` ready jobs under a new lease."""
        await self._claiming.connection()
        self._forget_after_loss()
        cursor = self._ready_cursor(queue)
        reading = cursor.begin(self._clock(), idle=self._idle.get(queue, True))
        rows = await self._claiming.run(
            "ready/claim",
            {
                "queue": queue,
                "priorities": _PRIORITIES,
                "after": numbers(reading.start[p] for p in PRIORITIES),
                "limit": limit,
                "worker": self._worker,
                "lease": lease,
            },
        )
        taken, last, xmax, in_progress, own, generation, allowed, timed = rows[0][:8]
        full = taken >= limit
        if allowed:
            cursor.finish(reading, dict(last), Snapshot(xmax, in_progress, own), full=full, now=self._clock())
        self._note_generation(queue, generation)
        self._idle[queue] = not full
        more = allowed and (full or cursor.pending)
        now = self._clock()
        jobs = [ClaimedJob._make((*row[8:], lease, queue)) for row in rows[1:]]
        if timed:
            jobs = [_by_our_clock(job, now) for job in jobs]
        self._last_found = now if jobs else self._last_found
        keyed = [job.id for job in jobs if job.has_key]
        if keyed:
            await self._claiming.run("keys/start", {"ids": numbers(keyed)})
        return Claim(jobs, more, paused=not allowed)

    async def finish(self, outcomes: Sequence[Outcome], emptied: Collection[int], now: float) -> list[Answer]:
        """Record outcomes and drop leases answered earlier."""
        rows = await _with_partitions(
            self._finishing, "lease/finish", {**runs(self._worker, outcomes, now), "empty": numbers(emptied)}
        )
        return answers(outcomes, *rows[0])

    async def settle(self, lost: Sequence[Outcome], now: float) -> set[tuple[int, int]]:
        """Return (id, run) of lost outcomes that an earlier, unanswered call had recorded."""
        rows = await _with_partitions(self._finishing, "lease/settle", runs(self._worker, lost, now))
        return {(job_id, run) for job_id, run in rows}

    async def release(self, leases: Sequence[int]) -> int:
        """Hand back jobs of leases that the worker does not know."""
        rows = await self._moving.run("lease/release", {"worker": self._worker, "leases": numbers(leases)})
        return int(rows[0][0])

    async def start(self, job: ClaimedJob) -> bool:
        """Record that a suspect's handler is about to be called; False: it is not this worker's."""
        rows = await self._claiming.run("lease/start", {"lease": job.lease, "worker": self._worker, "job": job.id})
        return bool(rows)

    async def pardon(self, job: ClaimedJob) -> None:
        """Note that a suspect runs alone no more: a crash counts against it, and does not end it."""
        await self._claiming.run("lease/pardon", {"lease": job.lease, "worker": self._worker, "job": job.id})

    async def keep(self, job: ClaimedJob, value: str) -> bool:
        """Store where a later run may go on, as JSON; False: the job is not this run's."""
        run = {"job": job.id, "run": job.run, "lease": job.lease, "worker": self._worker}
        return bool(await self._keeping.run("checkpoint/keep", {**run, "value": value}))

    async def kept(self, job: ClaimedJob) -> tuple[Any, ...]:
        """Return what an earlier run kept, as parsed JSON; empty: it kept nothing."""
        rows = await self._keeping.run("checkpoint/find", {"job": job.id})
        return tuple(rows[0]) if rows else ()

    async def forget_kept(self, jobs: Collection[int]) -> None:
        """Delete what jobs kept."""
        await self._keeping.run("checkpoint/forget", {"jobs": numbers(jobs)})

    async def note(self, progress: Sequence[Progress]) -> None:
        """Note how far jobs are."""
        jobs, numbered, done, notes = zip(*progress, strict=True)
        given = {"jobs": numbers(jobs), "runs": numbers(numbered), "notes": texts(notes)}
        await self._moving.run("progress/note", {**given, "done": numbers("NULL" if d is None else d for d in done)})

    async def look(self, queues: Sequence[str]) -> View:
        """See which queues have work, without taking any."""
        await self._claiming.connection()
        self._forget_after_loss()
        now = self._clock()
        readings = {queue: self._ready_cursor(queue).begin(now, idle=True) for queue in queues}
        rows = await self._claiming.run(
            "ready/look",
            {
                "queues": [queue for queue in queues for _ in PRIORITIES],
                "priorities": numbers(PRIORITIES * len(queues)),
                "after": numbers(readings[queue].start[p] for queue in queues for p in PRIORITIES),
            },
        )
        ready, silent = set(), set()
        for queue, found, paused, generation, xmax, in_progress in rows:
            cursor = self._ready_cursor(queue)
            self._note_generation(queue, generation)
            if paused:
                silent.add(queue)
                continue
            if not found:
                cursor.finish(readings[queue], {}, Snapshot(xmax, in_progress, None), full=False, now=self._clock())
            if found or cursor.pending:
                ready.add(queue)
        return View(frozenset(ready), settled=self._settled(rows), paused=frozenset(silent))

    async def agenda(self, queues: Sequence[str]) -> Agenda:
        """See which queues have due jobs."""
        await self._moving.connection()
        self._forget_after_loss()
        readings = {queue: self._scheduled_cursor(queue).begin(self._clock(), idle=True) for queue in queues}
        starts = [readings[queue].start[0] for queue in queues]
        rows = await self._moving.run(
            "scheduled/look",
            {
                "queues": list(queues),
                "due_ats": texts(due_at.isoformat() for due_at, _ in starts),
                "job_ids": numbers(job_id for _, job_id in starts),
            },
        )
        due, waits = set(), []
        for queue, due_in, server_time, xmax, in_progress in rows:
            cursor = self._scheduled_cursor(queue)
            if due_in is None or due_in > 0:
                cursor.finish(readings[queue], {}, Snapshot(xmax, in_progress, None), full=False, now=self._clock())
            if due_in is not None:
                waits.append(due_in)
            if cursor.pending or (due_in is not None and due_in <= 0):
                due.add(queue)
            self._note_server_time(server_time)
        return Agenda(frozenset(due), min(waits, default=None))

    async def promote(self, queue: str, limit: int) -> Promotion:
        """Move due jobs of a queue to ready."""
        await self._moving.connection()
        self._forget_after_loss()
        cursor = self._scheduled_cursor(queue)
        reading = cursor.begin(self._clock(), idle=True)
        due_at, job_id = reading.start[0]
        rows = await self._moving.run(
            "scheduled/promote", {"queue": queue, "due_at": due_at, "job_id": job_id, "limit": limit}
        )
        taken, last_due, last_id, xmax, in_progress, own, server_time = rows[0]
        last = {} if last_due is None else {0: (last_due, last_id)}
        full = taken >= limit
        cursor.finish(reading, last, Snapshot(xmax, in_progress, own), full=full, now=self._clock())
        self._note_server_time(server_time)
        return Promotion(taken, more=full or cursor.pending)

    async def doze(self, queues: Sequence[str], nap: float) -> None:
        """Ask to be notified of new jobs; the worker looks by itself every ``nap`` seconds."""
        if not self.listens:
            return  # enqueuers would notify somebody who hears nothing
        await self._claiming.run("idle/enter", {"worker": self._worker, "queues": list(queues), "nap": nap})
        await self._claiming.run("idle/fence")
        self._unnotified = None

    async def awake(self, queues: Sequence[str]) -> None:
        """Ask for no more notifications."""
        if not self.listens:
            return
        await self._claiming.run("idle/leave", {"worker": self._worker, "queues": list(queues)})

    async def beats(self) -> Beats:
        """Read every worker's beat counter."""
        ids, beats, orphans = (await self._moving.run("worker/beats"))[0]
        return Beats(dict(zip(ids, beats, strict=True)), orphans)

    async def rescue(self, silent: Mapping[int, int]) -> Rescue:
        """Hand back the jobs of silent workers and of leases without a worker."""
        given = {"ids": numbers(silent), "beats": numbers(silent.values()), "limit": _RESCUE_LEASES}
        given |= {"strikes": MOST_CRASHES, "error": POISON}
        rows = await _with_partitions(self._moving, "worker/rescue", given)
        return Rescue(*rows[0])

    async def tidy(self) -> None:
        """Vacuum the lanes, forget old signals and idle rows."""
        await tidy(self._settings)
        await self._moving.run("upkeep/forget_signals")
        await self._moving.run("idle/forget")
        await self._moving.run("keys/forget")
        await self._moving.run("progress/forget")

    async def keep_history(self, days: int) -> None:
        """Create the partitions ahead, retire those older than ``days``."""
        link = Link(self._settings, "history", UNPINNED)
        try:
            await keep_history(link, self._settings, days)
        finally:
            await link.close()

    def notices(self) -> AsyncIterator[Notice]:
        """Yield notifications until the connection breaks."""
        return notices(self._settings)

    def heart(self) -> PostgresHeart:
        """Return the worker's heartbeat, to be called from a thread."""
        return self._heart

    async def leave(self) -> None:
        """Take the worker off the list."""
        await self._moving.run("worker/leave", {"worker": self._worker})

    def sever(self) -> None:
        """Cut all connections, the heart's too: who waits for an answer gets an error instead."""
        for link in (self._claiming, self._finishing, self._moving, self._keeping, self._heart):
            link.sever()

    async def close(self) -> None:
        """Close all connections."""
        for link in (self._claiming, self._finishing, self._moving, self._keeping):
            await link.shut()

    def _ready_cursor(self, queue: str) -> LaneCursor[int]:
        return self._ready.setdefault(queue, LaneCursor(PRIORITIES, 0))

    def _scheduled_cursor(self, queue: str) -> LaneCursor[tuple[datetime, int]]:
        return self._scheduled.setdefault(queue, LaneCursor((0,), _LONG_AGO))

    def _note_server_time(self, server_time: float) -> None:
        """A clock that was set back leaves due times below the positions, where no floor tells of them."""
        if server_time < self._server_time:
            self._scheduled = {}
        self._server_time = server_time

    def _note_generation(self, queue: str, generation: int | None) -> None:
        if self._generation.setdefault(queue, generation) != generation:
            self._generation[queue] = generation
            self._ready_cursor(queue).scan_soon()

    def _settled(self, rows: Sequence[TupleRow]) -> bool:
        if not self.listens:
            return self._clock() - self._last_found > _ALERT_SECONDS
        in_progress = {xid for row in rows for xid in row[5]}
        self._unnotified = in_progress if self._unnotified is None else self._unnotified & in_progress
        return not self._unnotified

    def _forget_after_loss(self) -> None:
        """A new connection may speak to another server, or to the same one restored: positions mean nothing there."""
        epochs = (self._claiming.epoch, self._moving.epoch)
        if epochs != self._epochs:
            self._epochs = epochs
            self._ready, self._scheduled, self._server_time = {}, {}, 0.0


def _by_our_clock(job: ClaimedJob, now: float) -> ClaimedJob:
    """Turn seconds from now, which the server counted, into instants of our clock."""
    return job._replace(
        expires=None if job.expires is None else now + job.expires, until=None if job.until is None else now + job.until
    )


async def _with_partitions(link: Link, name: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
    """Run a statement that writes history; make today's partition if midnight passed while the archivist was away."""
    try:
        return await link.run(name, parameters)
    except errors.CheckViolation:
        await link.run("upkeep/make_partitions", {"days": 1})
        return await link.run(name, parameters)
