"""Questions to the audit views, and what the proof needs to know."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from examples.shop.crew import WorkerProcess
from examples.shop.look import Observer
from examples.shop.mailbox import Letter
from examples.shop.proof import Found


class Question(NamedTuple):
    """A query and what it tells."""

    title: str
    sql: str


QUESTIONS = (
    Question(
        "What became of all jobs?",
        """\
select task, state, count(*) as jobs, count(distinct worker_id) as workers,
       percentile_cont(0.5)
         within group (order by started_at - run_at) as median_wait
from pgqueue.all_jobs
group by task, state order by task, state""",
    ),
    Question(
        "How did their runs end?",
        """\
select j.task, a.outcome, count(*) as runs,
       count(distinct j.id) as jobs, max(a.attempt) as most_attempts
from pgqueue.all_attempts a join pgqueue.all_jobs j on j.id = a.job_id
group by j.task, a.outcome order by j.task, a.outcome""",
    ),
    Question(
        "The story of the payment that took the most runs",
        """\
select job_id, run, outcome, started_at::time, ended_at::time, error
from pgqueue.all_attempts
where job_id = (
  select id from pgqueue.all_jobs where task = 'shop.capture'
  order by run desc, id limit 1)
order by run""",
    ),
    Question(
        "Which jobs gave up, and why?",
        """\
select task, attempt, args, error
from pgqueue.all_jobs where state = 'dead'""",
    ),
    Question(
        "Did delayed mails wait?",
        """\
select count(*) as mails, min(started_at - enqueued_at) as earliest,
       max(started_at - enqueued_at) as latest
from pgqueue.all_jobs
where task = 'shop.welcome' and run = 1
  and run_at - enqueued_at > interval '1 s'""",
    ),
    Question(
        "Which jobs were rescued from the killed worker?",
        """\
select j.task, count(*) as jobs,
       max(a.ended_at - a.started_at) as until_rescued,
       max(j.finished_at - a.ended_at) as from_then_to_the_end
from pgqueue.all_attempts a join pgqueue.all_jobs j on j.id = a.job_id
where a.outcome = 'rescued'
group by j.task order by j.task""",
    ),
)

ROWS = "select 'welcome', id from shop.sign_up union all select 'confirmation', id from shop.\"order\""
ENDINGS = """
select job_id, count(*) from pgqueue.all_attempts
where outcome in ('succeeded', 'dead', 'cancelled', 'expired') group by job_id
"""
LAST_RUNS = "select id from pgqueue.all_jobs where id = any(%s::bigint[]) and worker_id = any(%s)"


class Answer(NamedTuple):
    """The result of a question."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask(connection: psycopg.Connection[Any], question: Question) -> Answer:
    """Run one of the queries."""
    cursor = connection.execute(question.sql)
    return Answer(tuple(column.name for column in cursor.description or ()), cursor.fetchall())


def collect(
    connection: psycopg.Connection[Any],
    observer: Observer,
    victim: WorkerProcess | None,
    letters: list[Letter],
    pictures: frozenset[tuple[int, int]],
) -> Found:
    """Read everything that the proof compares."""
    held = list(victim.held) if victim is not None else []
    killed = observer.ids_of(victim) if victim is not None else []
    return Found(
        rows=set(connection.execute(ROWS).fetchall()),
        letters=list(letters),
        payments=[order for (order,) in connection.execute("select order_id from shop.payment")],
        pictures=pictures,
        jobs=[(str(job), state) for job, state in connection.execute("select id, state from pgqueue.all_jobs")],
        endings={str(job): count for job, count in connection.execute(ENDINGS)},
        held=frozenset(held),
        ended_by_killed=frozenset(str(job) for (job,) in connection.execute(LAST_RUNS, [held, killed])),
    )
