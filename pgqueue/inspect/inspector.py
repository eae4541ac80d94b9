"""What stands where, and the verbs that change it; each verb leaves a row in operator_action."""

from __future__ import annotations

import re

from pgqueue.backend import AttemptRecord, Finding, InspectBackend, JobFilter, JobRecord, QueueRecord
from pgqueue.inspect import doctor
from pgqueue.inspect.actor import who
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidOption, JobNotFound
from pgqueue.model.options import check_queue, is_whole_number
from pgqueue.model.states import JobState

LARGEST_ID = 2**63 - 1
MOST_LISTED = 10_000
ROLES = ("producer", "worker", "auditor", "admin")

_ID = re.compile(r"0*([1-9][0-9]{0,18})")


class Inspector:
    """Looks at jobs and queues, and acts on them.

    Args:
        backend: Where they are.
        actor: Who acts, as operator_action names it; the operating system's user and host.
    """

    def __init__(self, backend: InspectBackend, actor: str | None = None) -> None:
        self._backend = backend
        self._actor = actor or who()

    def jobs(
        self, *, state: str | None = None, queue: str | None = None, task: str | None = None, limit: int = 50
    ) -> list[JobRecord]:
        """List jobs, newest first.

        Raises:
            InvalidOption: No such state, or the limit is not from 1 to 10,000.
        """
        if state is not None and state not in set(JobState):
            raise InvalidOption(f"{state!r} is not a state.", f"The states are {', '.join(JobState)}.")
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidOption(
                f"limit={limit} is not from 1 to {MOST_LISTED}.", "Use SQL on the view all_jobs for more."
            )
        return self._backend.jobs(JobFilter(state=state, queue=queue, task=task, limit=limit))

    def job(self, job_id: str) -> JobRecord:
        """Return one job.

        Raises:
            JobNotFound: None has this id, or it is past its retention.
        """
        found = self._backend.jobs(JobFilter(id=check_id(job_id), limit=1))
        if not found:
            raise _not_found(job_id)
        return found[0]

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """List the ended runs of a job, oldest first."""
        return self._backend.attempts(check_id(job_id))

    def queues(self) -> list[QueueRecord]:
        """List queues by name."""
        return self._backend.queues()

    def cancel(self, job_id: str) -> str:
        """Cancel a job: end it, or signal the worker that runs it.

        Returns:
            "cancelled" or "signalled"; or the state in which the job had ended before.

        Raises:
            JobNotFound: No job has this id.
        """
        return self._found(job_id, self._backend.cancel(check_id(job_id), self._actor))

    def retry(self, job_id: str) -> str:
        """Bring a dead, cancelled or expired job back, with a fresh retry budget.

        Returns:
            "retried", or the state that forbids it.

        Raises:
            JobNotFound: No job has this id.
        """
        return self._found(job_id, self._backend.retry(check_id(job_id), self._actor))

    def pause(self, queue: str) -> str:
        """Suspend claims from a queue; running jobs go on."""
        return self._backend.pause(check_queue(queue), self._actor)

    def resume(self, queue: str) -> str:
        """Take up claims again."""
        return self._backend.resume(check_queue(queue), self._actor)

    def grant(self, role: str, name: str) -> int:
        """Let a role of the database be a producer, worker, auditor or admin.

        Returns:
            How many privileges were granted.

        Raises:
            InvalidOption: No such role of ours.
            ConfigurationError: The database has no such role, or this one may not grant.
        """
        return self._backend.grant(_check_role(role), name, self._actor)

    def revoke(self, role: str, name: str) -> int:
        """Take a role of ours from a role of the database, with all its privileges, also those that another one gives."""
        return self._backend.revoke(_check_role(role), name, self._actor)

    def adopt(self) -> None:
        """Make this database the home of its jobs; a restored copy runs none until then."""
        self._backend.adopt(self._actor)

    def diagnose(self) -> list[Finding]:
        """Look whether connection, schema, pooler, workers and jobs are well, as ``pgqueue doctor`` does; changes nothing."""
        return doctor.diagnose(self._backend)

    def _found(self, job_id: str, outcome: str) -> str:
        if outcome == "not found":
            raise _not_found(job_id)
        return outcome


def _check_role(role: str) -> str:
    if role not in ROLES:
        raise InvalidOption(f"{role!r} is not a role.", f"The roles are {', '.join(ROLES)}.")
    return role


def check_id(job_id: str | int) -> str:
    """Return an id if it is one, as the database writes it."""
    found = _ID.fullmatch(str(job_id)) if isinstance(job_id, str) or is_whole_number(job_id, 1, LARGEST_ID) else None
    if found is None or int(found[1]) > LARGEST_ID:
        raise JobNotFound(f"{short(job_id)} is not a job's id.", "Ids are whole numbers as text, such as '42'.")
    return found[1]


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(
        f"There is no job {job_id} for this.", "It may have ended, or be past its retention; see: pgqueue jobs list"
    )
