"""What a worker is made of, put together: who feeds whom, and who wakes whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgqueue.backend import Completer, WorkerBackend
from pgqueue.model.clock import Clock
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.calls import Calls
from pgqueue.worker.children import RECYCLE_JOBS, Children
from pgqueue.worker.claimer import Claimer
from pgqueue.worker.endings import Endings
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.heartbeat import Heartbeat
from pgqueue.worker.hooks import HookRunner
from pgqueue.worker.identity import Identity
from pgqueue.worker.janitor import Archivist, Sweeper
from pgqueue.worker.limits import Limits
from pgqueue.worker.listener import Listener
from pgqueue.worker.promoter import Promoter
from pgqueue.worker.reporter import Reporter
from pgqueue.worker.rescuer import Rescuer
from pgqueue.worker.run import Desk
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import Timing, WorkerState, describe_worker
from pgqueue.worker.suspects import Suspects
from pgqueue.worker.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is to do.

    Attributes:
        weights: Queues and their weights; strict: in order of their rank.
        concurrency: Jobs that run at the same time.
        strict: Whether a queue is served only while those before it are empty.
        limits: Most jobs that run at the same time, by queue.
        children: Most child processes.
        child_jobs: After so many jobs a child process is replaced.
        child_megabytes: A child process that holds more after a job is replaced; None: never.
        most_jobs: After so many jobs no more are taken; None: never.
        drain: Whether it asks for its stop when nothing is left to do.
        timing: How often the services do what.
    """

    weights: Mapping[str, int]
    concurrency: int
    strict: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)
    children: int = 1
    child_jobs: int = RECYCLE_JOBS
    child_megabytes: int | None = None
    most_jobs: int | None = None
    drain: bool = False
    timing: Timing = field(default_factory=Timing)


class Assembly:
    """The parts of one worker.

    Args:
        backend: The storage.
        registry: The tasks.
        payloads: How arguments are read and results stored.
        completer: Ends jobs in their handlers' own transactions.
        deps: Handed to handlers as ``ctx.deps``.
        exhausted: Called when too many threads are left behind.
    """

    def __init__(
        self,
        backend: WorkerBackend,
        registry: Registry,
        plan: Plan,
        *,
        version: str,
        events: Events,
        payloads: Payloads,
        completer: Completer,
        deps: Any,
        clock: Clock,
        exhausted: Callable[[], None],
    ) -> None:
        info = describe_worker(plan.weights, plan.concurrency, version)
        self.state = state = WorkerState(
            info, clock, plan.timing, plan.weights, strict=plan.strict, most_jobs=plan.most_jobs, draining=plan.drain
        )
        self._backend, self._events, self._exhausted = backend, events, exhausted
        limits = Limits(plan.limits, registry, plan.children)
        self.buffers = Buffers(plan.weights, clock, strict=plan.strict, limits=limits)
        self.finisher = Finisher(state, backend, events)
        self.desk = Desk(state, backend, registry, payloads, completer)
        self.children = Children(
            most=plan.children,
            events=events,
            recycle_jobs=plan.child_jobs,
            recycle_megabytes=plan.child_megabytes,
        )
        self.calls = Calls(registry, payloads, self.desk, self.children, deps)
        hooks = HookRunner(registry, self.calls.threads, events)
        self.endings = Endings(state, payloads, self.finisher, self.calls, self.desk, hooks, events)
        self.slots = Slots(state, self.buffers, registry, self.finisher, self.calls, self.endings, self.desk)
        self.suspects = Suspects(
            state,
            backend,
            self.buffers,
            registry,
            self.finisher,
            lambda: len(self.slots.running),
            self.slots.rouse,
            events,
        )
        self.slots.suspect_ended = self.suspects.ended
        self.claimer = Claimer(state, backend, self.buffers, self.slots, self.suspects, self.finisher, events)
        self.slots.hungry = self.finisher.relieved = self.claimer.wake
        self.identity = Identity(state, backend, self.slots, self.claimer, self.finisher, events)

    def heartbeat(self) -> Heartbeat:
        """Return the heartbeat of this worker, made on its event loop."""
        heart = self._backend.heart()
        return Heartbeat(self.state, heart, self.identity.felt, self._take_back, self.finisher.given_back, self._events)

    def services(self, heartbeat: Heartbeat) -> list[Service]:
        """Return the services that run beside the finisher and the claimer."""
        state, backend, events = self.state, self._backend, self._events
        promoter = self.promoter = Promoter(state, backend, self.claimer.notify, events)
        self.finisher.postponed = promoter.wake
        reporter = Reporter(backend, self.desk, state.clock, events)
        self.desk.note = reporter.wake
        return [
            promoter,
            Watchdog(state, self.slots, self._exhausted, events),
            Rescuer(state, backend, self.claimer.notify, events),
            Listener(backend, self.claimer.notify, promoter.wake, self.claimer.pause, heartbeat.wake, events),
            self.suspects,
            reporter,
            Sweeper(state, backend, events),
            Archivist(state, backend, events),
        ]

    def _take_back(self) -> list[ClaimedJob]:
        return [*self.buffers.drain(), *self.suspects.drain()]
