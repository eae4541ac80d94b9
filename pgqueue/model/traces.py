"""The trace that a job belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id(headers: Mapping[str, str] | None) -> str | None:
    """Return the trace id of a job's headers, None without one.

    Source of the form: W3C Trace Context, header ``traceparent``.
    """
    found = _TRACEPARENT.match(headers.get("traceparent", "")) if headers else None
    return found.group(1) if found else None
