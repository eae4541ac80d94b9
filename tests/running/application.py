"""What ``pgqueue worker`` runs in these tests: the crew's tasks, and a record of who imported it."""

from __future__ import annotations

import os

import psycopg

from pgqueue import JobContext, PgQueue
from tests.worker.crew import GATE, Log, declare, tell_of_a_stop

DSN = os.environ["PGQUEUE_DSN"]
log = Log(os.environ["RUNNING_LOG"])
pgq = PgQueue()
pgq.events.subscribe(log.event)
pgq.events.subscribe(lambda event: tell_of_a_stop(event, DSN))
declare(pgq, DSN, log)
log.write("import")


@pgq.task(name="stall", context=True)
async def stall(ctx: JobContext[None]) -> None:
    """Block the event loop until the test opens the gate."""
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute("insert into starts values (%s, %s, %s)", (int(ctx.id), ctx.run, os.getpid()))
        connection.execute("select pg_advisory_lock_shared(%s)", (GATE,))
