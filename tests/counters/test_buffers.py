"""A claim costs the same whatever stands in the tables."""

from __future__ import annotations

import pytest

from pgqueue import EmbeddedServer
from tests.counters.buffers import Claims, add_finished, add_ready, add_scheduled, end_all, held_snapshot, lanes

MILLION = 1_000_000
MOST = 1.5


@pytest.fixture(scope="module")
def from_a_hundred(server: EmbeddedServer) -> int:
    """What 100 jobs cost when there are no others."""
    with lanes(server, "hundred") as connection:
        add_ready(connection, 100)
        return sum(Claims(connection).fetched().values())


@pytest.mark.slow
def test_a_claim_from_a_million_ready_jobs_costs_as_from_a_hundred(server: EmbeddedServer, from_a_hundred: int) -> None:
    with lanes(server, "million") as connection:
        claims = Claims(connection)
        add_ready(connection, MILLION)
        assert sum((found := claims.fetched()).values()) <= MOST * from_a_hundred, found
        add_scheduled(connection, MILLION)
        add_finished(connection, MILLION)
        assert sum((found := claims.fetched()).values()) <= MOST * from_a_hundred, found


def test_a_claim_past_dead_entries_that_cannot_be_cleaned_costs_as_from_a_hundred(
    server: EmbeddedServer, from_a_hundred: int
) -> None:
    with lanes(server, "dead") as connection, held_snapshot(server.dsn_of("dead")):
        claims = Claims(connection)
        add_ready(connection, 300_000)
        connection.execute("delete from pgqueue.ready where seq <= 299900")
        claims.read_on(now=1.0)  # the last hundred: the cursor stands behind all that are dead
        end_all(connection)
        add_ready(connection, 100)
        reading = claims.cursor.begin(1.5, idle=False)
        assert sum((found := claims.fetched(reading.start)).values()) <= MOST * from_a_hundred, found

        from_the_start = claims.fetched()  # what the cursor saves; shows that this test can fail
        assert sum(from_the_start.values()) > 5 * from_a_hundred, from_the_start
