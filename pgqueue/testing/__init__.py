"""What a team needs that tests its own application: assertions on jobs, a drain, time travel.

``pgqueue.testing.plugin`` brings the pytest fixtures; nothing else here needs pytest.
"""

from __future__ import annotations

from pgqueue.testing.contexts import TestContext, job_context
from pgqueue.testing.jobs import EnqueuedJobs, Jobs

__all__ = ["EnqueuedJobs", "Jobs", "TestContext", "job_context"]
