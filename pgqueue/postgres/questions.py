"""What a caller may ask of its jobs, as statements."""

from __future__ import annotations

from typing import Any

from pgqueue.backend import AskEnds, AskStates, Ended, Question
from pgqueue.model.plans import Plan
from pgqueue.postgres.literals import numbers
from pgqueue.postgres.steps import Fetch, Step


def answer(question: Question) -> Plan[Step, Any]:
    """Answer a question of ``backend.Question``."""
    if isinstance(question, AskStates):
        transactions = numbers("NULL" if one is None else one for one in question.transactions)
        rows = yield Fetch("jobs/states", {"ids": numbers(question.ids), "transactions": transactions})
        return dict(rows)
    if isinstance(question, AskEnds):
        rows = yield Fetch("jobs/ends", {"ids": numbers(question.ids)})
        return {row[0]: Ended(*row[1:]) for row in rows}
    rows = yield Fetch("jobs/cancel", {"id": question.id, "actor": question.actor})
    return str(rows[0][0])
