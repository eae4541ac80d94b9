"""What ``pgqueue worker`` runs in these tests: the crew's tasks, and a record of who imported it."""

from __future__ import annotations

import os

from pgqueue import PgQueue
from tests.worker.crew import Log, declare, tell_of_a_stop

DSN = os.environ["PGQUEUE_DSN"]
log = Log(os.environ["RUNNING_LOG"])
pgq = PgQueue()
pgq.events.subscribe(log.event)
pgq.events.subscribe(lambda event: tell_of_a_stop(event, DSN))
declare(pgq, DSN, log)
log.write("import")
