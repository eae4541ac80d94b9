"""Every event: its level, its word, and its sentence, in one table.

In a sentence ``{error}`` is a fact, ``{again_in:time}`` a fact in seconds, ``{jobs:n job}`` a number of things,
``{queues:list}`` several names. A part in square brackets is left out when one of its facts is missing, or 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from logging import ERROR, INFO, WARNING
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What is said of an event.

    Attributes:
        level: Of the log record.
        word: The one word that people look for: done, retry, dead, worker.
        sentence: Of an event of a job it follows the job's task and id.
        status: What became of the run; None: the event is of no run.
    """

    level: int
    word: str
    sentence: str
    status: str | None = None


_AGAIN = "[, again in {again_in:time}][: {error}]"

KINDS: Mapping[str, Kind] = {
    "job.succeeded": Kind(INFO, "done", "[{seconds:time}]", "succeeded"),
    "job.retried": Kind(WARNING, "retry", f"attempt {{attempt}} failed{_AGAIN}", "retry"),
    "job.dead": Kind(ERROR, "dead", "dead[ after {attempt:n attempt}][: {error}]", "dead"),
    "job.poison": Kind(ERROR, "dead", "dead: the worker that ran it died, once too often", "dead"),
    "job.snoozed": Kind(INFO, "snooze", f"put off{_AGAIN}", "snoozed"),
    "job.cancelled": Kind(INFO, "cancel", "cancelled while it ran", "cancelled"),
    "job.expired": Kind(WARNING, "late", "expired before it could start[, at {expires_at}]", "expired"),
    "job.lost": Kind(WARNING, "lost", "its outcome[ {verdict}] was dropped: the job is another run's by now", "lost"),
    "jobs.unwritten": Kind(
        WARNING, "left", "The outcome of {jobs:n job} could not be written in time: {ids}; a sweep will hand them back"
    ),
    "job.unknown_task": Kind(WARNING, "back", f"handed back: no task of this name here{_AGAIN}", "released"),
    "job.unreadable": Kind(WARNING, "back", f"handed back: this worker cannot run it{_AGAIN}", "released"),
    "job.mismatch": Kind(
        WARNING, "back", f"handed back: its arguments are those of another version of the task{_AGAIN}", "released"
    ),
    "jobs.succeeded": Kind(INFO, "done", "{jobs:n job} succeeded"),
    "queue.no_task": Kind(WARNING, "queue", "No task names the queue {queue}; is it spelled right?"),
    "worker.started": Kind(
        INFO, "worker", "{worker} started[, serves {queues:list}][, up to {concurrency:n job} at the same time]"
    ),
    "worker.ready": Kind(INFO, "worker", "Ready[ after {seconds:time}]"),
    "worker.pooled": Kind(INFO, "worker", "Behind a pooler that lends a server for a {pooling}; woken by {woken_by}"),
    "worker.quiet": Kind(INFO, "worker", "Quiet: no more jobs are taken[, {running:n job} still running]"),
    "worker.resumed": Kind(INFO, "worker", "Jobs are taken again"),
    "worker.draining": Kind(WARNING, "worker", "It stops when its jobs have ended[: {reason}]"),
    "worker.stopping": Kind(INFO, "worker", "{worker} stops[, {running:n job} still running]"),
    "worker.stopped": Kind(INFO, "worker", "{worker} stopped[, {released:n job} handed back]"),
    "worker.lost": Kind(
        ERROR, "worker", "{worker} was taken for dead; it goes on as another one[, {running:n job} running]"
    ),
    "worker.released": Kind(
        INFO, "worker", "{jobs:n job} handed back[ of {leases:n lease}]: the answer to a claim was lost"
    ),
    "worker.rescued": Kind(WARNING, "rescue", "{jobs:n job} of {workers:n silent worker} handed out again"),
    "health.serving": Kind(INFO, "health", "Health checks are answered at http://{address}/"),
    "process.ended": Kind(
        WARNING,
        "worker",
        "Worker {pid} ended[ with code {code}][ by signal {signal}][; another one in {again_in:time}]",
    ),
    "process.stuck": Kind(ERROR, "worker", "Worker {pid} was silent for too long and is killed"),
    "service.failed": Kind(WARNING, "fail", "{service} failed[; again in {again_in:time}][: {error}]"),
    "hook.failed": Kind(WARNING, "hook", "The hook {hook} of {task} failed[ for job {job}][: {error}]"),
    "loop.blocked": Kind(
        WARNING, "block", "The event loop has not turned for {seconds:time}[, at {where}]; declare such work as def"
    ),
    "threads.left_behind": Kind(
        WARNING, "thread", "{count:n thread} of jobs that are over still running[; at {most} the worker is replaced]"
    ),
    "dev.changed": Kind(INFO, "reload", "{files} changed"),
    "dev.waiting": Kind(WARNING, "reload", "The application could not be loaded; waiting for a change"),
    "dev.worker_died": Kind(
        WARNING, "worker", "The worker died[ by signal {signal}][ with exit code {code}]; it starts again"
    ),
    "child.died": Kind(WARNING, "child", "The child process {pid} died[ of {task}[ {job}]][: {reason}]"),
    "child.recycled": Kind(INFO, "child", "The child process {pid} is replaced[ after {jobs:n job}][: {reason}]"),
}

_PART = re.compile(r"\[([^\[\]]*)\]")
_FACT = re.compile(r"\{(\w+)(?::([^}]+))?\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def kind_of(name: str, facts: Mapping[str, Any]) -> Kind:
    """Return what is said of an event; of one that is not in the table, its name and facts."""
    return KINDS.get(name) or Kind(INFO, "event", ", ".join([name, *(f"{fact} {{{fact}}}" for fact in facts)]))


def sentence_of(name: str, facts: Mapping[str, Any]) -> str:
    """Return an event's sentence, in one line that no terminal takes for a command."""
    return filled(kind_of(name, facts).sentence, facts)


def subject_of(name: str | None, facts: Mapping[str, Any]) -> str:
    """Return the task and id of the job that something is said of; empty for what is of no job."""
    if name is not None and not name.startswith("job."):
        return ""
    return filled("[{task}][ {job}]", facts).strip()


def filled(sentence: str, facts: Mapping[str, Any]) -> str:
    """Return a sentence with its facts; see above for the form."""

    def part(found: re.Match[str]) -> str:
        return found[1] if all(facts.get(name) for name, _ in _FACT.findall(found[1])) else ""

    while _PART.search(sentence):
        sentence = _PART.sub(part, sentence)
    return _FACT.sub(lambda found: plain(_shown(facts.get(found[1], "?"), found[2])), sentence)


def plain(text: str) -> str:
    """Return text in one line and without control characters."""
    return _CONTROL.sub(" ", text)


def _shown(value: Any, form: str | None) -> str:
    if form == "list" and isinstance(value, str | list | tuple):
        return ", ".join(value.split(",") if isinstance(value, str) else map(str, value))
    if not isinstance(value, int | float) or form is None:
        return str(value)
    if form == "time":
        return time_of(value)
    thing = form.removeprefix("n ")
    return f"{value:,} {thing}" if value == 1 else f"{value:,} {thing}s"


def time_of(seconds: float) -> str:
    """Return a length of time as people write it: 12 ms, 1.5 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
