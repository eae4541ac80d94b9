"""An application with a task for child processes, which import it."""

from __future__ import annotations

from pgqueue import PgQueue, RetryPolicy

pgq = PgQueue("postgresql://nowhere")


class Busy(Exception):
    """Somebody else asks for patience."""


def broken(retried: int, error: BaseException) -> float:
    raise LookupError("no table")


@pgq.task(name="fail", executor="process", retry=RetryPolicy(max_retries=1, uncounted=(Busy,), delay=broken))
def fail(how: str) -> None:
    """Fail in one of two ways."""
    raise Busy if how == "busy" else OSError("away")
