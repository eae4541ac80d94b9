"""What a backend does, and the values that it exchanges with the worker, the inspector and the producer.

``postgres`` implements this on lanes and leases; ``asynq`` will on Redis. Beside each method stands how Asynq does it.
Every method may raise BackendUnavailable when the database cannot be reached; the caller tries again later.
"""

from __future__ import annotations

from pgqueue.backend.inspecting import AttemptRecord, Finding, InspectBackend, JobFilter, JobRecord, Level, QueueRecord
from pgqueue.backend.producing import (
    AskCancel,
    AskEnds,
    AskStates,
    Ended,
    ProducerBackend,
    Question,
)
from pgqueue.backend.working import (
    PROTOCOL,
    Agenda,
    Answer,
    Beats,
    Claim,
    Heart,
    Notice,
    Outcome,
    Progress,
    Promotion,
    Pulse,
    Rescue,
    Verdict,
    View,
    WorkerBackend,
    WorkerInfo,
)
from pgqueue.tasks import Completer, Ending

__all__ = [
    "PROTOCOL",
    "Agenda",
    "Answer",
    "AskCancel",
    "AskEnds",
    "AskStates",
    "AttemptRecord",
    "Beats",
    "Claim",
    "Completer",
    "Ended",
    "Ending",
    "Finding",
    "Heart",
    "InspectBackend",
    "JobFilter",
    "JobRecord",
    "Level",
    "Notice",
    "Outcome",
    "ProducerBackend",
    "Progress",
    "Promotion",
    "Pulse",
    "Question",
    "QueueRecord",
    "Rescue",
    "Verdict",
    "View",
    "WorkerBackend",
    "WorkerInfo",
]
