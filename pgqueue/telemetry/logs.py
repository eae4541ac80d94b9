"""Events as log records: the level is chosen here, nowhere else."""

from __future__ import annotations

import logging

from pgqueue.telemetry.events import Event

logger = logging.getLogger("pgqueue")

LEVELS = {
    "job.dead": logging.ERROR,
    "job.retried": logging.WARNING,
    "job.unknown_task": logging.WARNING,
    "job.unreadable": logging.WARNING,
    "job.lost": logging.WARNING,
    "service.failed": logging.WARNING,
    "worker.lost": logging.ERROR,
    "worker.rescued": logging.WARNING,
    "queue.no_task": logging.WARNING,
}


def log(event: Event) -> None:
    """Write an event to the logger "pgqueue"; its fields go along as ``record.fields``."""
    level = LEVELS.get(event.name, logging.INFO)
    if logger.isEnabledFor(level):
        facts = " ".join(f"{name}={value}" for name, value in event.fields.items())
        logger.log(level, "%s %s", event.name, facts, extra={"event": event.name, "fields": dict(event.fields)})
