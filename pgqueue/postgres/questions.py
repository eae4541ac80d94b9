"""What a caller may ask of its jobs, as statements."""

from __future__ import annotations

from typing import Any

from pgqueue.backend import AskEnds, AskStates, Ended, Ending, Question
from pgqueue.model.plans import Plan
from pgqueue.postgres.literals import numbers
from pgqueue.postgres.steps import Fetch, Step


def answer(question: Question) -> Plan[Step, Any]:
    """Answer a question of ``backend.Question``."""
    if isinstance(question, AskStates):
        open_ones = [None if origin is None else origin.transaction for origin in question.origins]
        transactions = numbers("NULL" if one is None else one for one in open_ones)
        rows = yield Fetch("jobs/states", {"ids": numbers(question.ids), "transactions": transactions})
        states = {job_id: state for job_id, state, _ in rows}
        database = rows[0][2] if rows else ""
        for job_id, origin in zip(question.ids, question.origins, strict=True):
            if origin is not None and origin.database != database:
                states[job_id] = "elsewhere"
        return states
    if isinstance(question, AskEnds):
        rows = yield Fetch("jobs/ends", {"ids": numbers(question.ids)})
        return {row[0]: Ended(*row[1:]) for row in rows}
    rows = yield Fetch("jobs/cancel", {"id": question.id, "actor": question.actor})
    return str(rows[0][0])


def completion(ending: Ending) -> Plan[Step, bool]:
    """End a job in the transaction of its handler."""
    job = {"job": ending.id, "run": ending.run, "lease": ending.lease}
    rows = yield Fetch("jobs/complete", {**job, "ago": ending.ago, "result": ending.result})
    return bool(rows[0][0])
