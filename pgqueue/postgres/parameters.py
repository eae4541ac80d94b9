"""From jobs to the parallel arrays of sql/jobs/enqueue.sql and enqueue_keyed.sql."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

from pgqueue.model.codecs import Codec
from pgqueue.model.job import JobSpec
from pgqueue.model.options import JobOptions
from pgqueue.model.unique import Unique
from pgqueue.postgres.literals import numbers, texts


def parameters(specs: Sequence[JobSpec[Any]], codec: Codec | None) -> dict[str, str]:
    """Return the parallel arrays that every enqueue takes."""
    options = [spec.options for spec in specs]
    return {
        "queue": texts(o.queue for o in options),
        "task": texts(spec.task for spec in specs),
        "args": texts(None if codec else spec.args for spec in specs),
        "priority": _or_null(o.priority for o in options),
        "delay": _or_null(o.delay for o in options),
        "run_at": texts(None if o.run_at is None else o.run_at.isoformat() for o in options),
        "max_retries": _or_null(o.max_retries for o in options),
        "timeout_ms": _or_null(timeout_ms(o) for o in options),
        "more": texts(_more(spec, codec) for spec in specs),
    }


def keys(specs: Sequence[JobSpec[Any]]) -> str:
    """Return one more array: how each job shares a key."""
    return texts(None if (unique := s.options.shared) is None else _key(s.options.key, unique) for s in specs)


def timeout_ms(options: JobOptions) -> int | None:
    """Return the timeout in milliseconds; 519.07 s are 519070, though the product is a little more."""
    return None if options.timeout is None else ceil(round(options.timeout * 1000, 3))


def _or_null(values: Iterable[float | None]) -> str:
    return numbers("NULL" if value is None else value for value in values)


def _more(spec: JobSpec[Any], codec: Codec | None) -> str | None:
    options = spec.options
    if codec is None and options.headers is None and options.tags is None and not options.is_limited:
        return None
    more: dict[str, Any] = {}
    if options.deadline is not None:
        more["deadline"] = options.deadline.isoformat()
    if options.expires_at is not None:
        more["expires_at"] = options.expires_at.isoformat()
    if options.expires_in is not None:
        more["expires_in"] = options.expires_in
    if options.headers:
        more["headers"] = dict(options.headers)
    if options.tags:
        more["tags"] = list(options.tags)
    if codec is not None:
        more["codec"] = codec.name
        more["body"] = base64.b64encode(codec.encode(spec.args.encode())).decode("ascii")
    return _as_json(more) if more else None


def _key(key: str | None, unique: Unique) -> str:
    shared = {
        "key": key,
        "names": None if unique.args is None else list(unique.args),
        "scope": unique.scope,
        "seconds": unique.seconds,
        "on_conflict": unique.on_conflict,
    }
    return _as_json({name: value for name, value in shared.items() if value is not None})


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
