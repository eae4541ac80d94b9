"""What the shop itself knows: which transactions it committed, which it rolled back, and the jobs that were in them."""

from __future__ import annotations

from dataclasses import dataclass, field

from examples.shop.mail import Kind, message_id
from examples.shop.mailbox import Letter
from pgqueue import Job


@dataclass(frozen=True, slots=True)
class Draft:
    """Written in a transaction that has not ended yet.

    Attributes:
        kind: The mail that belongs to it: "welcome" for a sign-up, "confirmation" for an order.
        number: The row's id.
        mail: The job that sends the mail.
        others: The other jobs.
    """

    kind: Kind
    number: int
    mail: Job[None]
    others: tuple[Job[None], ...] = ()

    @property
    def jobs(self) -> tuple[Job[None], ...]:
        """All its jobs."""
        return (self.mail, *self.others)


@dataclass(slots=True)
class Ledger:
    """Kept in memory, beside the database, to be compared with it at the end.

    Attributes:
        letters: The mails that must arrive.
        rolled_back: Kind and number of what never existed.
        jobs: Task by id of every committed job.
        ghosts: Ids of jobs that were rolled back.
        doomed: Ids of jobs that cannot succeed.
    """

    letters: set[Letter] = field(default_factory=set)
    rolled_back: set[tuple[str, int]] = field(default_factory=set)
    jobs: dict[str, str] = field(default_factory=dict)
    ghosts: set[str] = field(default_factory=set)
    doomed: set[str] = field(default_factory=set)

    def committed(self, draft: Draft) -> None:
        """Note that a transaction was committed."""
        self.letters.add(Letter(draft.kind, draft.number, message_id(draft.mail.id)))
        self.jobs.update((job.id, job.task) for job in draft.jobs)

    def forgotten(self, draft: Draft) -> None:
        """Note that a transaction was rolled back."""
        self.rolled_back.add((draft.kind, draft.number))
        self.ghosts.update(job.id for job in draft.jobs)

    def hopeless(self, job: Job[None]) -> None:
        """Note a committed job that cannot succeed."""
        self.jobs[job.id] = job.task
        self.doomed.add(job.id)

    def numbers(self, kind: Kind) -> set[int]:
        """Return the committed sign-ups or orders."""
        return {letter.number for letter in self.letters.copy() if letter.kind == kind}

    def lost(self, kind: Kind) -> set[int]:
        """Return the sign-ups or orders that were rolled back."""
        return {number for other, number in self.rolled_back.copy() if other == kind}
