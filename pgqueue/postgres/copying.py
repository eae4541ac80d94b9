"""Jobs as the lines of a COPY, for chunks that are large and plain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

LEAST = 500  # jobs; below, the arrays of one statement are as fast (benchmarks/bulk.py)

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def is_copied(specs: Sequence[JobSpec[Any]]) -> bool:
    """Say whether a chunk goes by COPY: it is large, and all its jobs are for now and share no key."""
    return len(specs) >= LEAST and all(_is_plain(spec.options) for spec in specs)


def _is_plain(options: JobOptions) -> bool:
    return not options.delay and options.run_at is None and options.shared is None


class Lines:
    """Writes the lines of one chunk.

    Args:
        ids: Drawn before, one a job.
        stamp: The server's time at that moment.
    """

    def __init__(self, specs: Sequence[JobSpec[Any]], ids: Sequence[str], stamp: str, codec: Codec | None) -> None:
        self._specs = specs
        self._ids = ids
        self._stamp = stamp
        self._codec = codec
        self._known: dict[str, tuple[JobOptions, str, str, str]] = {}

    def jobs(self) -> str:
        """Return the lines of sql/jobs/copy.sql."""
        lines = []
        for job_id, spec in zip(self._ids, self._specs, strict=True):
            _, head, tail, _ = self._fixed(spec)
            lines.append(f"{job_id}{head}{self._payload(spec.args)}{tail}")
        return "".join(lines)

    def places(self) -> str:
        """Return the lines of sql/ready/copy.sql."""
        return "".join(
            f"{self._fixed(spec)[3]}{job_id}\t1\n" for job_id, spec in zip(self._ids, self._specs, strict=True)
        )

    def queues(self) -> set[str]:
        """Return the queues that have new jobs."""
        return {spec.options.queue or DEFAULT_QUEUE for spec in self._specs}

    def _fixed(self, spec: JobSpec[Any]) -> tuple[JobOptions, str, str, str]:
        """Return what a job's lines share with those of its task: calls with the same options share the object."""
        known = self._known.get(spec.task)
        if known is None or known[0] is not spec.options:
            known = self._known[spec.task] = self._build(spec.task, spec.options)
        return known

    def _build(self, task: str, options: JobOptions) -> tuple[JobOptions, str, str, str]:
        queue = (options.queue or DEFAULT_QUEUE).translate(_ESCAPES)
        priority = DEFAULT_PRIORITY if options.priority is None else options.priority
        retries = DEFAULT_MAX_RETRIES if options.max_retries is None else options.max_retries
        timeout = timeout_ms(options) or int(DEFAULT_TIMEOUT * 1000)
        head = (
            f"\t{self._stamp}\t{self._stamp}\t{timeout}\t{retries}\t{priority}\t{queue}\t{task.translate(_ESCAPES)}\t"
        )
        headers = as_json(options.headers).translate(_ESCAPES) if options.headers else "\\N"
        tags = texts(options.tags).translate(_ESCAPES) if options.tags else "\\N"
        return options, head, f"\t{headers}\t{tags}\n", f"{queue}\t{priority}\t"

    def _payload(self, args: str) -> str:
        """Return args, body and codec; JSON text holds no raw tab or line end."""
        if self._codec is None:
            return (args.replace("\\", "\\\\") if "\\" in args else args) + "\t\\N\t\\N"
        return f"\\N\t\\\\x{self._codec.encode(args.encode()).hex()}\t{self._codec.name}"
