"""Outcomes as the parallel arrays of sql/lease/finish.sql and settle.sql, and its answer read back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pgqueue.backend import Answer, Outcome
from pgqueue.postgres.literals import numbers, texts


def runs(worker: int, outcomes: Sequence[Outcome], now: float) -> dict[str, Any]:
    """Return the parameters that say what became of runs."""
    columns = zip(*outcomes, strict=True) if outcomes else ((),) * 8
    ids, runs, leases, verdicts, delays, started, errors, results = columns
    return {
        "worker": worker,
        "id": numbers(ids),
        "run": numbers(runs),
        "lease": numbers(leases),
        "outcome": numbers(verdicts),
        "delay": numbers(delays),
        "ago": numbers("NULL" if at is None else max(0.0, now - at) for at in started),
        "error": texts(errors),
        "result": texts(results),
    }


def answers(outcomes: Sequence[Outcome], done: int, others: Collection[Sequence[int]]) -> list[Answer]:
    """Return what became of each outcome, from the row that finish.sql answers."""
    assert done + len(others) == len(outcomes), "every outcome has one answer"
    known: dict[tuple[int, int], Answer] = {(i, run): "locked" if held else "lost" for i, run, held in others}
    return [known.get((o.id, o.run), "done") for o in outcomes] if known else ["done"] * len(outcomes)
