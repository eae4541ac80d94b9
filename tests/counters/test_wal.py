"""What a job costs from enqueue to history, in bytes of WAL, commits and statements."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pgqueue import EmbeddedServer
from tests.counters.wal import BATCH, PAYLOADS, STEPS, measuring, quiet_server

FIXED = 1000
PER_BYTE = 2.2
# What was measured, the same on PostgreSQL 16 and 18. The promise leaves room for one more index, so this is
# held too: a change that is meant writes its new figure here.
MEASURED = {"small": 984, "1 KB": 2918, "10 KB": 23_420}
DRIFT = 1.02


@pytest.fixture(scope="module")
def quiet() -> Iterator[EmbeddedServer]:
    with quiet_server(int(os.environ.get("PGQUEUE_TEST_POSTGRES", "18"))) as server:
        yield server


@pytest.mark.parametrize(("name", "size"), PAYLOADS.items(), ids=PAYLOADS)
async def test_wal_from_enqueue_to_history_is_a_kilobyte_and_little_more_than_two_payloads(
    quiet: EmbeddedServer, name: str, size: int
) -> None:
    async with measuring(quiet) as measure:
        costs = await measure.batch(size)
    split = {step: cost.wal / BATCH for step, cost in costs.items()}
    assert sum(split.values()) <= FIXED + PER_BYTE * size, f"WAL bytes a job, payload {name}: {split}"
    assert sum(split.values()) <= DRIFT * MEASURED[name], f"WAL bytes a job, payload {name}: {split}"


async def test_each_step_of_a_batch_is_one_statement_and_one_commit(quiet: EmbeddedServer) -> None:
    async with measuring(quiet) as measure:
        costs = await measure.batch(65)
    assert {step: (cost.statements, cost.commits) for step, cost in costs.items()} == dict.fromkeys(STEPS, (1, 1))
