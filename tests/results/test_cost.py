"""What a look at a job's state reads, with ninety days of history."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import EmbeddedServer
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.statements import statement
from tests.counters.buffers import add_finished, add_ready, add_scheduled, lanes

DAYS = 90
MOST_ENDED = 150  # the partitions of the days ahead are looked at first
MOST_LIVE = 50  # history is not looked at
_OLDER = """
insert into pgqueue.job_history (id, finished_at, run_at, enqueued_at, run, timeout_ms, max_retries, attempt, crashes,
  priority, has_key, state, queue, task, args)
select nextval('pgqueue.job_id_seq'), now() - day * interval '1 day', now(), now(), 1, 1800000, 25, 1, 0, 0, false,
  'succeeded', 'default', 'counted', '{}' from generate_series(1, %s) day, generate_series(1, 10)
"""


@pytest.fixture(scope="module")
def asking(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """A connection as a producer's, to a database with as many days of history as are kept."""
    with lanes(server, "t_cost_of_states") as connection:
        connection.execute(
            "select pgqueue.make_partition('job_history', (now() at time zone 'UTC')::date - day) "
            "from generate_series(1, %s) day",
            (DAYS,),
        )
        connection.execute(_OLDER, (DAYS,))
        for add in (add_ready, add_scheduled, add_finished):
            add(connection, 500)
        connection.execute("analyze")
        settings = Settings(server.dsn_of("t_cost_of_states"), "pgqueue")
        with psycopg.connect(**settings.parameters("producer", UNPINNED)) as producer:
            yield producer


def buffers(connection: psycopg.Connection, ids: str) -> int:
    """Return the shared buffers that the statement reads for these jobs, the second time."""
    asked = b"explain (analyze, buffers, format json) " + statement("jobs/states", "pgqueue")
    for _ in range(2):
        row = connection.execute(asked, {"ids": ids, "transactions": "{NULL}"}).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize(
    ("chosen", "most"),
    [
        ("select job_id from pgqueue.ready order by seq desc limit 1", MOST_LIVE),
        ("select job_id from pgqueue.scheduled order by due_at desc limit 1", MOST_LIVE),
        (
            "select id from pgqueue.job_history where finished_at > now() - interval '1 minute' order by id desc limit 1",
            MOST_ENDED,
        ),
    ],
    ids=["ready", "scheduled", "ended today"],
)
def test_the_state_of_a_job_costs_few_buffers_with_ninety_days_of_history(
    asking: psycopg.Connection, chosen: str, most: int
) -> None:
    row = asking.execute(chosen).fetchone()
    assert row is not None
    used = buffers(asking, f"{{{row[0]}}}")
    assert used <= most
