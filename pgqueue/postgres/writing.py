"""How jobs are written: one, or a stream of any length, all or none.

Arrays in one statement are the rule; a large chunk of plain jobs is copied in. More than one statement stands inside a
savepoint of the caller's transaction, or in a transaction of its own where each statement would commit by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from pgqueue.model.codecs import Codec
from pgqueue.model.errors import InvalidOption, JobExists
from pgqueue.model.job import JobSpec
from pgqueue.model.plans import Plan
from pgqueue.postgres.copying import Lines, is_copied
from pgqueue.postgres.literals import numbers, texts
from pgqueue.postgres.parameters import keys, parameters
from pgqueue.postgres.steps import Chunk, Copy, Fetch, Row, Run, Step, Take, Traits
from pgqueue.tasks import Origin, Receive, Stored, Written

_SAVEPOINT = ("savepoint pgqueue_bulk", "release savepoint pgqueue_bulk", "rollback to savepoint pgqueue_bulk")
_TRANSACTION = ("begin", "commit", "rollback")


class Writer:
    """Plans how jobs are written to one schema."""

    def __init__(self, schema: str, codec: Codec | None) -> None:
        self._schema = schema
        self._codec = codec

    def one(self, traits: Traits, spec: JobSpec[Any]) -> Plan[Step, Stored]:
        """Write a job."""
        return next((yield from self._insert(traits, [spec])).each())

    def all(self, traits: Traits, receive: Receive) -> Plan[Step, None]:
        """Write what Take gives, until it gives nothing."""
        chunk: Chunk = yield Take()
        if not chunk:
            return
        following: Chunk = yield Take()
        copies = is_copied(chunk) and (yield from self._may_copy(traits))
        if not following and not copies and not receive.may_raise:
            receive(chunk, (yield from self._insert(traits, chunk)))
            return
        begin, end, undo = _TRANSACTION if traits.commits else _SAVEPOINT
        yield Run(begin)
        try:
            while chunk:
                write = self._copy if copies and is_copied(chunk) else self._insert
                receive(chunk, (yield from write(traits, chunk)))
                chunk = following
                following = (yield Take()) if chunk else []
            yield Run(end)
        except BaseException as error:
            with contextlib.suppress(Exception):  # the connection may be lost: then the server has rolled back
                yield Run(undo)
                if undo != "rollback":
                    yield Run(end)
                if isinstance(error, JobExists) and error.job_id is not None:
                    yield from self._forget_own(error)
            raise

    def _forget_own(self, error: JobExists) -> Plan[Step, None]:
        """The holder may be of an earlier chunk of the same bulk: then it is gone with it."""
        asked = {"ids": numbers([error.job_id]), "transactions": "{NULL}"}
        rows = yield Fetch("jobs/states", asked)
        if rows[0][1] == "not found":
            error.job_id = None

    def _may_copy(self, traits: Traits) -> Plan[Step, bool]:
        if not traits.copies:
            return False
        rows = yield Fetch("jobs/may_copy", {"schema": self._schema})
        return bool(rows[0][0])

    def _insert(self, traits: Traits, specs: Sequence[JobSpec[Any]]) -> Plan[Step, Written]:
        if any(spec.options.shared for spec in specs):
            return (yield from self._insert_keyed(traits, specs))
        rows = yield Fetch("jobs/enqueue", parameters(specs, self._codec))
        ids, *origin = _texts(rows[0])
        return Written(ids.split(","), None, _origin(traits, *origin))

    def _insert_keyed(self, traits: Traits, specs: Sequence[JobSpec[Any]]) -> Plan[Step, Written]:
        if self._codec is not None:
            _refuse_hidden_keys(specs)
        rows = yield Fetch("jobs/enqueue_keyed", {**parameters(specs, self._codec), "key": keys(specs)})
        answers, *origin = _texts(rows[0])
        pairs = [answer.split(" ") for answer in answers.split(",")]
        for spec, (job_id, outcome) in zip(specs, pairs, strict=True):
            if outcome == "refused":
                raise _exists(spec, None if job_id == "0" else job_id)
        ids, outcomes = zip(*pairs, strict=True)
        return Written(list(ids), list(outcomes), _origin(traits, *origin))

    def _copy(self, traits: Traits, specs: Sequence[JobSpec[Any]]) -> Plan[Step, Written]:
        rows = yield Fetch("jobs/draw", {"count": len(specs)})
        first, ids, stamp, *origin = _texts(rows[0])
        drawn = ids.split(",") if ids else list(map(str, range(int(first), int(first) + len(specs))))
        lines = Lines(specs, drawn, stamp, self._codec)
        yield Copy("jobs/copy", lines.jobs())
        yield Copy("ready/copy", lines.places())
        yield Fetch("ready/wake", {"queues": texts(lines.queues())})
        return Written(drawn, None, _origin(traits, *origin))


def _texts(row: Row) -> list[str]:
    """Return a row of texts; a connection in SQL_ASCII gives bytes."""
    return [value.decode() if isinstance(value, bytes) else value for value in row]


def _origin(traits: Traits, transaction: str, database: str) -> Origin:
    return Origin(database, None if traits.commits else int(transaction))


def _refuse_hidden_keys(specs: Sequence[JobSpec[Any]]) -> None:
    """A key of the arguments is computed by the database, which cannot read what a codec has stored."""
    hidden = next((spec for spec in specs if spec.options.shared and spec.options.key is None), None)
    if hidden is not None:
        raise InvalidOption(
            f"{hidden.task} is unique by its arguments, and a codec hides them from the database.",
            "Pass key=, made of something that may be read.",
        )


def _exists(spec: JobSpec[Any], job_id: str | None) -> JobExists:
    queue = spec.options.queue or "default"
    what = f"the key {spec.options.key!r}" if spec.options.key is not None else f"the key of this call of {spec.task}"
    holder = "Another job of this bulk has" if job_id is None else f"Job {job_id} holds"
    return JobExists(
        f"{holder} {what} in the queue {queue!r}, so nothing was enqueued.",
        'Wait until it is free, or pass unique=Unique(on_conflict="skip") or "replace".',
        job_id,
    )
