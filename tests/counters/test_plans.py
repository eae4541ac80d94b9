"""No hot statement walks over a lane, whatever the statistics say. That is what the pinned options are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue import EmbeddedServer
from tests.counters.plans import STATEMENTS, STATES, State, offences, reads, states


@pytest.fixture(scope="module")
def statistics(server: EmbeddedServer) -> Iterator[dict[str, State]]:
    with states(server) as made:
        yield made


@pytest.mark.parametrize("state", STATES)
def test_no_hot_statement_walks_over_a_lane(statistics: dict[str, State], state: str) -> None:
    found = {name: told for name in STATEMENTS if (told := offences(statistics[state].pinned, name))}
    assert found == {}


def test_without_the_pinned_options_each_state_makes_some_statement_scan(statistics: dict[str, State]) -> None:
    """Shows that the guard can fail; the claim itself scans where the lane is empty or dead."""
    found = {
        state: {name for name in STATEMENTS if offences(connections.unpinned, name)}
        for state, connections in statistics.items()
    }
    assert all(found.values()), found
    assert "ready/claim" in found["never analyzed, empty"] & found["drained under a held snapshot, then analyzed"]


def test_the_guard_sees_the_tables_that_the_statements_read(statistics: dict[str, State]) -> None:
    pinned = statistics["analyzed full"].pinned
    at_least = {
        "ready/claim": {"ready", "job"},
        "ready/look": {"ready"},
        "scheduled/look": {"scheduled"},
        "scheduled/promote": {"scheduled", "job"},
        "lease/finish": {"job", "job_key"},
        "lease/settle": {"job_history", "job_attempt"},
        "lease/release": {"job"},
        "worker/rescue": {"job"},
    }
    unseen = {name: missing for name, tables in at_least.items() if (missing := tables - reads(pinned, name))}
    assert unseen == {}
