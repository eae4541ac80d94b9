"""Jobs as the lines of a COPY, for chunks that are large and plain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pgqueue.model.codecs import Codec
from pgqueue.model.job import JobSpec
from pgqueue.model.options import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT,
    JobOptions,
    as_json,
)
from pgqueue.postgres.literals import texts
from pgqueue.postgres.parameters import timeout_ms

LEAST = 1000  # jobs; below, the arrays of one statement are faster (benchmarks/bulk.py)
_BLOCK = 250  # lines; the server takes one while the next is written

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def is_copied(specs: Sequence[JobSpec[Any]]) -> bool:
    """Say whether a chunk goes by COPY: it is large, and all its jobs are for now, for ever, and share no key."""
    return len(specs) >= LEAST and all(map(_is_plain, {id(spec.options): spec.options for spec in specs}.values()))


def _is_plain(options: JobOptions) -> bool:
    return not options.delay and options.run_at is None and options.shared is None and not options.is_limited


class _Frame(NamedTuple):
    """What a job's lines share with those of its task: calls with the same options share the object."""

    options: JobOptions
    head: str
    tail: str
    place: str


class Lines:
    """Writes the lines of one chunk, in blocks.

    Args:
        ids: Drawn before, one a job.
        stamp: The server's time at that moment.
    """

    def __init__(self, specs: Sequence[JobSpec[Any]], ids: Sequence[str], stamp: str, codec: Codec | None) -> None:
        self._specs = specs
        self._ids = ids
        self._stamp = stamp
        self._codec = codec
        self._frames: list[_Frame] = []
        self._known: dict[str, _Frame] = {}

    def jobs(self) -> Iterator[str]:
        """Yield the lines of sql/jobs/copy.sql."""
        payload = self._payload
        for part in self._blocks():
            self._frames += self._framed(self._specs[part])
            rows = zip(self._ids[part], self._frames[part], self._specs[part], strict=True)
            yield "".join([f"{job_id}{frame.head}{payload(spec.args)}{frame.tail}" for job_id, frame, spec in rows])

    def places(self) -> Iterator[str]:
        """Yield the lines of sql/ready/copy.sql, after those of the jobs."""
        for part in self._blocks():
            rows = zip(self._ids[part], self._frames[part], strict=True)
            yield "".join([f"{frame.place}{job_id}\t1\n" for job_id, frame in rows])

    def queues(self) -> list[str]:
        """Return the queues that have new jobs."""
        return sorted({spec.options.queue or DEFAULT_QUEUE for spec in self._specs})

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + _BLOCK) for start in range(0, len(self._specs), _BLOCK))

    def _framed(self, specs: Sequence[JobSpec[Any]]) -> list[_Frame]:
        frames, known = [], self._known
        for spec in specs:
            frame = known.get(spec.task)
            if frame is None or frame.options is not spec.options:
                frame = known[spec.task] = self._build(spec.task, spec.options)
            frames.append(frame)
        return frames

    def _build(self, task: str, options: JobOptions) -> _Frame:
        queue = (options.queue or DEFAULT_QUEUE).translate(_ESCAPES)
        priority = DEFAULT_PRIORITY if options.priority is None else options.priority
        retries = DEFAULT_MAX_RETRIES if options.max_retries is None else options.max_retries
        timeout = timeout_ms(options) or int(DEFAULT_TIMEOUT * 1000)
        columns = (self._stamp, self._stamp, timeout, retries, priority, queue, task.translate(_ESCAPES))
        headers = as_json(options.headers).translate(_ESCAPES) if options.headers else "\\N"
        tags = texts(options.tags).translate(_ESCAPES) if options.tags else "\\N"
        head = "".join(f"\t{column}" for column in columns) + "\t"
        return _Frame(options, head, f"\t{headers}\t{tags}\n", f"{queue}\t{priority}\t")

    def _payload(self, args: str) -> str:
        """Return args, body and codec; JSON text holds no raw tab or line end."""
        if self._codec is not None:
            return f"\\N\t\\\\x{self._codec.encode(args.encode()).hex()}\t{self._codec.name}"
        return (args.replace("\\", "\\\\") if "\\" in args else args) + "\t\\N\t\\N"
