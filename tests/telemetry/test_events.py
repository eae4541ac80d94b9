"""The stream: who is told of what, and that the table knows every event."""

from __future__ import annotations

import ast
import logging
import re

import pytest

from pgqueue import PgQueue, RetryPolicy
from pgqueue.telemetry.events import Event, Events
from pgqueue.telemetry.kinds import KINDS, filled, kind_of, sentence_of, subject_of
from tests.support import ROOT, Watch


def emitted() -> dict[str, str]:
    """Return the name of every event with the file that makes it: what is emitted, and what a name is set to."""
    subjects = {name.partition(".")[0] for name in KINDS}
    found: dict[str, str] = {}
    for file in sorted((ROOT / "pgqueue").rglob("*.py")):
        if file.name == "kinds.py":
            continue
        tree = ast.parse(file.read_text())
        calls = [node.args[0] for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args and _emits(node)]
        given = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)]
        names = [value for value in given if isinstance(value, ast.Dict | ast.Constant)]
        for text in (
            part.value for node in [*calls, *names] for part in ast.walk(node) if isinstance(part, ast.Constant)
        ):
            if (
                isinstance(text, str)
                and re.fullmatch(r"[a-z]+\.[a-z_]+", text)
                and (text.partition(".")[0] in subjects)
            ):
                found[text] = file.name
    return found


def _emits(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in ("emit", "Event")


def test_every_event_that_is_emitted_has_a_level_and_a_sentence() -> None:
    names = emitted()
    assert {"worker.started", "job.dead", "service.failed", "jobs.succeeded"} <= set(names)
    assert {name: file for name, file in names.items() if name not in KINDS} == {}


def test_every_event_of_the_table_is_emitted_somewhere() -> None:
    assert set(KINDS) - set(emitted()) == set()


def test_every_kind_has_a_short_word_and_a_sentence_whose_brackets_match() -> None:
    for name, kind in KINDS.items():
        assert kind.level in (logging.INFO, logging.WARNING, logging.ERROR), name
        assert 0 < len(kind.word) <= 6, name
        bare = re.sub(r"\{\w+(:time|:list|:n [a-z ]+)?\}", "", kind.sentence)
        assert not set(bare) & set("{}"), name
        assert not set(filled(kind.sentence, {})) & set("[]"), name


def test_an_event_of_a_job_says_what_became_of_the_run() -> None:
    assert {name for name, kind in KINDS.items() if (kind.status is not None) != name.startswith("job.")} == set()


def test_only_who_asks_for_successes_is_told_of_them() -> None:
    events, few, many = Events(), list[str](), list[str]()
    events.subscribe(lambda event: few.append(event.name))
    wanted_before = events.successes
    events.subscribe(lambda event: many.append(event.name), successes=True)
    assert (wanted_before, events.successes) == (False, True)
    events.emit("job.succeeded", job=1)
    events.emit("job.dead", job=2)
    assert (few, many) == (["job.dead"], ["job.succeeded", "job.dead"])


def test_subscribing_again_changes_what_one_is_told_and_tells_nothing_twice() -> None:
    events, heard = Events(), list[Event]()
    events.subscribe(heard.append)
    events.subscribe(heard.append, successes=True)
    events.emit("job.succeeded", job=1)
    assert len(heard) == 1
    events.subscribe(heard.append)
    assert not events.successes


def test_a_part_in_brackets_is_left_out_when_one_of_its_facts_is_missing() -> None:
    assert filled("died[ of {task}[ {job}]][: {reason}]", {"task": "a", "job": 7}) == "died of a 7"
    assert filled("died[ of {task}[ {job}]][: {reason}]", {"job": 7, "reason": "x"}) == "died: x"
    assert filled("died[ of {task}[ {job}]]", {"task": "[b]", "job": None}) == "died of [b]"


@pytest.mark.parametrize(
    ("name", "facts", "sentence"),
    [
        ("job.succeeded", {"job": 1, "task": "a", "seconds": 0.0121}, "12 ms"),
        ("job.retried", {"attempt": 2, "error": "E: x", "again_in": 75}, "attempt 2 failed, again in 1 min 15 s: E: x"),
        ("job.dead", {"attempt": 1, "error": "E: x"}, "dead after 1 attempt: E: x"),
        ("jobs.succeeded", {"jobs": 1203}, "1,203 jobs succeeded"),
        ("worker.rescued", {"workers": 1, "leases": 2, "jobs": 1}, "1 job of 1 silent worker handed out again"),
        ("service.failed", {"service": "claimer", "error": "E: x"}, "claimer failed: E: x"),
        ("worker.released", {"jobs": 3}, "3 jobs handed back: the answer to a claim was lost"),
        ("worker.started", {"worker": "h:1", "queues": "a,b"}, "h:1 started, serves a, b"),
        ("worker.stopped", {"worker": "h:1", "released": 0}, "h:1 stopped"),
        ("worker.lost", {}, "? was taken for dead; it goes on as another one"),
    ],
)
def test_an_event_is_told_in_a_sentence(name: str, facts: dict[str, object], sentence: str) -> None:
    assert sentence_of(name, facts) == sentence


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0002, "under 1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (59.99, "1 min"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_a_length_of_time_is_written_as_people_write_it(seconds: float, shown: str) -> None:
    assert filled("{seconds:time}", {"seconds": seconds}) == shown


def test_an_event_that_is_not_in_the_table_is_told_by_its_facts() -> None:
    assert kind_of("shop.closed", {}).level == logging.INFO
    assert sentence_of("shop.closed", {"hour": 18, "by": "Ada"}) == "shop.closed, hour 18, by Ada"


def test_a_fact_cannot_break_the_line_or_command_a_terminal() -> None:
    assert sentence_of("job.dead", {"attempt": 1, "error": "a\x1b[2J\r\nb\u2028c"}) == "dead after 1 attempt: a [2J b c"
    assert subject_of("job.dead", {"task": "evil\x1b]0;x\x07", "job": 1}) == "evil ]0;x  1"


async def test_a_success_reaches_the_log_only_when_somebody_asked(
    pgq: PgQueue[None], watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    @pgq.task(name="add")
    async def add(left: int, right: int) -> int:
        return left + right

    heard: list[Event] = []
    pgq.events.subscribe(heard.append, successes=True)
    with caplog.at_level(logging.INFO, "pgqueue"):
        async with pgq.worker(concurrency=1):
            job = add.enqueue(1, 2)
            await watch.auntil("select true from pgqueue.all_jobs where id = %s and state = 'succeeded'", job.id)
    (success,) = (event.fields for event in heard if event.name == "job.succeeded")
    assert {"job": int(job.id), "task": "add", "queue": "default", "run": 1, "attempt": 1}.items() <= success.items()
    assert 0 <= success["seconds"] < 5
    assert [record for record in caplog.records if getattr(record, "event", "") == "job.succeeded"] == []


async def test_a_dead_job_brings_its_traceback_to_the_log_and_a_retried_one_does_not(
    pgq: PgQueue[None], watch: Watch
) -> None:
    @pgq.task(name="pay", retry=RetryPolicy(max_retries=1, delays=[0]))
    async def pay() -> None:
        raise ValueError("no such account")

    heard: list[Event] = []
    pgq.events.subscribe(heard.append)
    async with pgq.worker(concurrency=1):
        job = pay.enqueue()
        await watch.auntil("select true from pgqueue.all_jobs where id = %s and state = 'dead'", job.id)
    (retried, dead) = (event.fields for event in heard if event.name in ("job.retried", "job.dead"))
    assert "traceback" not in retried
    assert dead["traceback"].endswith("ValueError: no such account\n")
    assert 'raise ValueError("no such account")' in dead["traceback"]
