"""docs/results.md says what the code does."""

from __future__ import annotations

from pgqueue import Job, PgQueue
from pgqueue.inspect.results import LONGEST_PAUSE, SHORTEST_PAUSE
from pgqueue.model.payload import LARGEST_RESULT
from pgqueue.model.states import JobState
from tests.docs.pages import DOCS, table

PAGE = DOCS / "results.md"


def test_the_limits_are_as_stated() -> None:
    text = PAGE.read_text()
    assert f"over {LARGEST_RESULT // 1024} KiB" in text
    assert f"at least {SHORTEST_PAUSE * 1000:g} ms and at most a second" in text
    assert LONGEST_PAUSE == 1


def test_every_call_exists_in_both_ways() -> None:
    rows = table(PAGE, "| Call | Awaited | Answer |")
    for blocking, awaited, answer in rows:
        for call in filter(None, (blocking, awaited)):
            owner, name = call.strip("`").split("(")[0].split(".")
            assert callable(getattr(Job if owner == "job" else PgQueue, name))
        if "JobState" in answer:
            assert all(state in answer for state in JobState)
    assert len(rows) == 6
