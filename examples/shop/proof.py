"""The proof: what the shop promised against what is found afterwards. Pure: no database, no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from examples.shop.ledger import Ledger
from examples.shop.mailbox import Letter


@dataclass(frozen=True, slots=True)
class Found:
    """What is there at the end.

    Attributes:
        rows: Kind and number of every sign-up and order in the shop's tables.
        letters: Every delivered mail, duplicates included.
        payments: Order of each captured payment.
        pictures: Order and width of each resized picture.
        jobs: Id and state of each row of pgqueue.all_jobs.
        endings: How many runs of a job ended it, by id.
        held: Ids of jobs that the killed worker held.
        ended_by_killed: Ids of jobs of which the last run is the killed worker's.
    """

    rows: Set[tuple[str, int]]
    letters: Sequence[Letter]
    payments: Sequence[int]
    pictures: Set[tuple[int, int]]
    jobs: Sequence[tuple[str, str]]
    endings: Mapping[str, int]
    held: Set[str] = field(default_factory=frozenset)
    ended_by_killed: Set[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof.

    Attributes:
        claim: What is claimed.
        promised: How many there must be.
        found: How many there are.
        differences: What differs; empty when the claim holds.
    """

    claim: str
    promised: int
    found: int
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the claim holds."""
        return not self.differences and self.promised == self.found


def prove(ledger: Ledger, found: Found, widths: Iterable[int]) -> list[Check]:
    """Compare; the demonstration has proved its point when every check holds."""
    orders = ledger.numbers("confirmation")
    pictures = {(order, width) for order in orders for width in widths}
    return [
        *_mail_checks(ledger, found),
        _same("each committed order is paid once", Counter(orders), Counter(found.payments), "payment of order"),
        _same("each committed order has its pictures", Counter(pictures), Counter(found.pictures), "picture"),
        *_job_checks(ledger, found),
    ]


def sent_twice(letters: Sequence[Letter]) -> int:
    """Return how many mails arrived again; their Message-ID tells."""
    return len(letters) - len(set(letters))


def _mail_checks(ledger: Ledger, found: Found) -> list[Check]:
    promised_rows = {(letter.kind, letter.number) for letter in ledger.letters}
    arrived = set(found.letters)
    checks = [
        _same("rows in the shop's tables = what was committed", Counter(promised_rows), Counter(found.rows), "row")
    ]
    for kind, claim in (
        ("confirmation", "committed orders = confirmation mails delivered"),
        ("welcome", "committed sign-ups = welcome mails delivered"),
    ):
        promised = Counter(letter for letter in ledger.letters if letter.kind == kind)
        checks.append(_same(claim, promised, Counter(letter for letter in arrived if letter.kind == kind), "mail"))
    wrong = [letter for letter in arrived if (letter.kind, letter.number) in ledger.rolled_back]
    checks.append(
        _same(f"{len(ledger.rolled_back)} rolled back: no mail delivered for them", Counter(), Counter(wrong), "mail")
    )
    return checks


def _job_checks(ledger: Ledger, found: Found) -> list[Check]:
    ids = Counter(job for job, _ in found.jobs)
    ends = Counter({(job, "dead" if job in ledger.doomed else "succeeded"): 1 for job in ledger.jobs})
    ghosts = Counter(job for job in ids if job in ledger.ghosts)
    taken_over = found.held - found.ended_by_killed
    checks = [
        _same("ids returned by enqueue = ids in pgqueue.all_jobs", Counter(ledger.jobs.keys()), ids, "job"),
        _same(f"{len(ledger.ghosts)} jobs rolled back: none exists", Counter(), ghosts, "job"),
        _same("each job succeeded; the hopeless one ended dead", ends, Counter(found.jobs), "job"),
        _same(
            "each job was ended by exactly one run", Counter(ledger.jobs.keys()), Counter(found.endings), "end of job"
        ),
    ]
    if found.held:
        claim = "the killed worker's jobs were ended by the other"
        checks.append(_same(claim, Counter(found.held), Counter(taken_over), "job"))
    return checks


def _same(claim: str, promised: Counter[Any], found: Counter[Any], noun: str) -> Check:
    missing = [f"missing: {noun} {thing}" for thing in _words(promised - found)]
    extra = [f"not promised: {noun} {thing}" for thing in _words(found - promised)]
    return Check(claim, promised.total(), found.total(), (*missing, *extra))


def _words(things: Counter[Any]) -> list[str]:
    return sorted(" ".join(map(str, thing)) if isinstance(thing, tuple) else str(thing) for thing in things.elements())
