"""The read side and the operators' verbs; blocking, one connection a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from pgqueue.backend import AttemptRecord, Finding, JobFilter, JobRecord, QueueRecord
from pgqueue.postgres.connections import UNPINNED, Settings
from pgqueue.postgres.doctor import diagnose
from pgqueue.postgres.explain import explain
from pgqueue.postgres.pooler import connect
from pgqueue.postgres.statements import statement


class PostgresInspection:
    """See ``backend.InspectBackend``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def jobs(self, which: JobFilter) -> list[JobRecord]:
        """List jobs, newest first."""
        wanted = {
            "id": which.id,
            "state": which.state,
            "queue": which.queue,
            "task": which.task,
            "limit": which.limit,
        }
        return [JobRecord(*row) for row in self._run("jobs/list", wanted)]

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """List a job's ended runs, oldest first."""
        return [AttemptRecord(*row) for row in self._run("jobs/attempts", {"id": job_id})]

    def queues(self) -> list[QueueRecord]:
        """List queues by name."""
        return [QueueRecord(*row) for row in self._run("queues/list", {})]

    def cancel(self, job_id: str, actor: str) -> str:
        """Cancel a job."""
        return self._outcome("jobs/cancel", {"id": job_id, "actor": actor})

    def retry(self, job_id: str, actor: str) -> str:
        """Bring an ended job back."""
        return self._outcome("jobs/retry", {"id": job_id, "actor": actor})

    def pause(self, queue: str, actor: str) -> str:
        """Suspend claims."""
        return self._outcome("queues/pause", {"queue": queue, "actor": actor})

    def resume(self, queue: str, actor: str) -> str:
        """Take up claims again."""
        return self._outcome("queues/resume", {"queue": queue, "actor": actor})

    def grant(self, role: str, name: str, actor: str) -> int:
        """Let a role of the database be one of ours."""
        return int(self._outcome("roles/grant", {"role": role, "name": name, "actor": actor}))

    def revoke(self, role: str, name: str, actor: str) -> int:
        """Take a role of ours away."""
        return int(self._outcome("roles/revoke", {"role": role, "name": name, "actor": actor}))

    def adopt(self, actor: str) -> None:
        """Make this database the home of its jobs."""
        self._run("upkeep/adopt", {"actor": actor})

    def diagnose(self, now: Callable[[], datetime]) -> list[Finding]:
        """Look whether all is as jobs need it."""
        return diagnose(self._settings, now)

    def _outcome(self, name: str, parameters: Mapping[str, Any]) -> str:
        return str(self._run(name, parameters)[0][0])

    def _run(self, name: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        schema = self._settings.schema
        try:
            with connect(self._settings.parameters("inspect", UNPINNED)) as connection:
                return connection.execute(statement(name, schema), parameters).fetchall()
        except psycopg.Error as error:
            raise explain(error, schema, broken=False) or error from error
