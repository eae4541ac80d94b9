"""What the documents state is what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pgqueue.cli.main import cli
from pgqueue.model import options, payload, retry
from pgqueue.model.options import Options
from pgqueue.model.states import TRANSITIONS, JobState
from pgqueue.worker.options import MOST_SLOTS, MOST_WEIGHT
from pgqueue.worker.state import Timing
from tests.docs.pages import DOCS, anchors, blocks, links, name_of, pages, prose, table
from tests.support import ROOT

README = ROOT / "README.md"
STATES = DOCS / "states.md"
EXACT = {(start, end, by) for by, moves in TRANSITIONS.items() for start, end in moves}
WORDS = (
    "task job run attempt lane lease queue worker dead retry snooze release cancel backend key schedule tick fence "
    "scheduled ready running succeeded cancelled expired enqueue aenqueue enqueue_many using delay run_at executor "
    "RetryPolicy RetryAfter Snooze GiveUp weights max_retries"
)
# Folders and files of the repository as prose names them: `tests/worker/`, `pgqueue/backend/`.
NAMED = re.compile(r"`((?:tests|pgqueue|alembic|benchmarks|examples|docs)/[\w/.]*)`")


def test_the_diagram_of_states_is_the_table_of_transitions() -> None:
    (diagram,) = blocks(STATES, "mermaid")
    arrows = re.findall(r"^ +(\S+) --> (\w+) : (\S+)$", diagram.text, flags=re.MULTILINE)
    drawn = [("-" if start == "[*]" else start, end, by) for start, end, by in arrows]
    assert len(drawn) == len(diagram.text.splitlines()) - 1
    assert sorted(drawn) == sorted(EXACT)


def test_the_table_of_states_is_the_table_of_transitions() -> None:
    rows = table(STATES, "| From | To | By | When |")
    assert sorted((start, end, by) for start, end, by, _ in rows) == sorted(EXACT)


def test_the_picture_of_states_shows_every_state() -> None:
    (picture,) = blocks(STATES, "text")
    assert set(JobState) <= set(re.findall(r"\w+", picture.text))


def test_the_glossary_has_every_word() -> None:
    known = {word for row in table(DOCS / "glossary.md", "| Word | Meaning |") for word in row[0].split(", ")}
    assert set(WORDS.split()) - known == set()


def test_the_timing_of_a_worker_is_as_stated() -> None:
    stated = {name.strip("`"): float(value) for name, value, _ in table(DOCS / "worker.md", "| Name | Value | What |")}
    timing = Timing()
    assert stated == {field.name: float(getattr(timing, field.name)) for field in fields(timing)}
    assert f"= {timing.beat + timing.lease + timing.sweep:g} s" in (DOCS / "worker.md").read_text()


def test_the_options_of_a_job_are_as_stated() -> None:
    rows = table(DOCS / "enqueue.md", "| Option | Values | Default |")
    stated = {name.strip("`"): (values, default) for name, values, default in rows}
    assert stated.keys() == Options.__annotations__.keys()
    assert str(options.LONGEST_QUEUE_NAME) in stated["queue"][0]
    assert stated["priority"][1] == str(options.DEFAULT_PRIORITY)
    assert stated["max_retries"] == (
        f"0 to {options.MOST_RETRIES}, after the first attempt",
        str(options.DEFAULT_MAX_RETRIES),
    )
    assert stated["timeout"] == (
        f"1 ms to {options.LONGEST_TIMEOUT / 86400:g} days, for one attempt",
        f"{options.DEFAULT_TIMEOUT / 60:g} min",
    )
    assert payload.LARGEST_PAYLOAD == 1024 * 1024
    assert "At most 1 MiB" in (DOCS / "enqueue.md").read_text()


def test_twenty_five_retries_take_as_long_as_stated() -> None:
    shortest = sum(retried**4 + 15 for retried in range(options.DEFAULT_MAX_RETRIES))
    mean = shortest + sum(14.5 * (retried + 1) for retried in range(options.DEFAULT_MAX_RETRIES))
    assert all(retried**4 + 15 <= retry.asynq_delay(retried) for retried in range(25))
    assert round(mean / 86400) == 20


def test_the_options_of_the_worker_are_as_stated() -> None:
    rows = table(DOCS / "worker.md", "| Option | Meaning | Default |")
    told = {word for row in rows for word in re.findall(r"(?<!-)--?[a-z-]+", row[0])}
    known = {flag for parameter in cli.commands["worker"].params for flag in parameter.opts}
    assert told <= known
    assert known - told == {"app", "--queue", "--concurrency"}
    text = (DOCS / "worker.md").read_text()
    assert f"weight 1 to {MOST_WEIGHT} " in text
    assert f"1 to {MOST_SLOTS:,}" in text


def test_every_command_that_is_shown_exists() -> None:
    shown = [
        (name_of(page), line.split("#")[0].split()[1:])
        for page in pages()
        for block in blocks(page, "sh")
        for line in block.text.splitlines()
        if line.startswith("pgqueue ")
    ]
    assert shown
    for page, words in shown:
        command = cli.commands[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        used = {word for word in words if word.startswith("-")}
        assert used <= flags, f"{page}: pgqueue {' '.join(words)}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    missing = [name for name in NAMED.findall(prose(page)) if not (ROOT / name).exists()]
    assert missing == []


def test_every_guarantee_names_a_test_that_there_is() -> None:
    rows = table(README, "| Promise | How | Proved by |")
    assert len(rows) == 9
    for promise, _, proved in rows:
        for name in re.findall(r"`(.+?)`", proved):
            found = ROOT / name
            tests = [found] if found.is_file() else list(found.glob("test_*.py"))
            assert tests, f"{promise} {name}"


def test_every_benchmark_that_is_named_exists() -> None:
    rows = table(DOCS / "benchmarks.md", "| Command | Measures |")
    named = {command.strip("`").split()[-1].partition(".")[2] for command, _ in rows}
    there = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}
    assert named == there - {"__init__", "common"}


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in DOCS.rglob("*.md"):
        assert (
            f": {page.relative_to(DOCS).as_posix()}\n" in navigation
            or f"- {page.relative_to(DOCS).as_posix()}\n" in navigation
        )


def test_every_decision_is_a_whole_record() -> None:
    records = sorted((DOCS / "decisions").glob("0*.md"))
    assert len(records) == 20
    for record in records:
        headings = re.findall(r"^## (.+)$", record.read_text(), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Status"], record.name
        assert f"({record.name})" in (DOCS / "decisions" / "index.md").read_text()
