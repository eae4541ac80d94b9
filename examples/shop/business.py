"""The shop's business: sign-ups and orders, each in a transaction that also enqueues its jobs; some are rolled back."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from examples.shop.ledger import Draft, Ledger
from examples.shop.orm import Order, Refusal, SignUp
from examples.shop.pictures import PRODUCTS, WIDTHS
from examples.shop.tasks import capture, confirmation, pgq, resize, tax_report, welcome

Fate: TypeAlias = Literal["commit", "exception", "savepoint"]
Write: TypeAlias = Callable[[Session, int], Draft]
FATES: tuple[Fate, ...] = ("commit",) * 8 + ("exception", "savepoint")
LATER = 3  # every third welcome mail is sent later


class ChangedTheirMind(Exception):
    """Raised after everything was written and enqueued."""


class Business(threading.Thread):
    """Trades in a thread of its own, evenly over some seconds.

    Args:
        sign_ups: How many to try; as many orders.
        seconds: How long that takes.
        delay: Of every third welcome mail.

    Attributes:
        done: How many transactions have ended.
        error: What ended it early.
    """

    def __init__(self, engine: Engine, *, sign_ups: int, seconds: float, delay: str) -> None:
        super().__init__(name="business", daemon=True)
        self.ledger = Ledger()
        self.done = 0
        self.error: Exception | None = None
        self._engine = engine
        self._delay = delay
        self._closing = threading.Event()
        self._plan = _plan(sign_ups, self._sign_up, _order)
        self._pause = seconds / len(self._plan)

    @property
    def share(self) -> float:
        """How much of the business is done, 0 to 1."""
        return self.done / len(self._plan)

    def run(self) -> None:
        """Trade until all is done or ``close`` is called."""
        try:
            self._file_tax_report()
            for index, (write, fate) in enumerate(self._plan):
                if self._closing.wait(self._pause):
                    return
                self._trade(write, fate, index)
                self.done += 1
        except Exception as error:  # noqa: BLE001 - shown by the main thread, which ends the demonstration
            self.error = error

    def close(self) -> None:
        """End early, and wait for it."""
        self._closing.set()
        if self.ident is not None:
            self.join()

    def _trade(self, write: Write, fate: Fate, index: int) -> None:
        """One transaction, and what became of it."""
        with Session(self._engine) as session:
            if fate == "savepoint":
                draft = _back_to_savepoint(session, write, index)
            else:
                draft = _commit_or_raise(session, write, index, fails=fate == "exception")
        (self.ledger.committed if fate == "commit" else self.ledger.forgotten)(draft)

    def _sign_up(self, session: Session, index: int) -> Draft:
        row = SignUp(email=f"customer-{index}@example.org")
        session.add(row)
        session.flush()
        mail = welcome.using(session, delay=self._delay) if index % LATER == 0 else welcome.using(session)
        return Draft("welcome", row.id, mail.enqueue(row.id, row.email))

    def _file_tax_report(self) -> None:
        with Session(self._engine) as session, session.begin():
            job = tax_report.using(session).enqueue(2026)
        self.ledger.hopeless(job)


def _order(session: Session, index: int) -> Draft:
    product = PRODUCTS[index % len(PRODUCTS)]
    row = Order(email=f"customer-{index}@example.org", product=product, cents=1000 + index)
    session.add(row)
    session.flush()
    mail = confirmation.using(session).enqueue(row.id, row.email, product)
    payment = capture.using(session).enqueue(row.id)
    pictures = pgq.using(session).enqueue_many(resize.job(row.id, product, width) for width in WIDTHS)
    return Draft("confirmation", row.id, mail, (payment, *pictures))


def _commit_or_raise(session: Session, write: Write, index: int, *, fails: bool) -> Draft:
    with suppress(ChangedTheirMind), session.begin():
        draft = write(session, index)
        if fails:
            raise ChangedTheirMind
    return draft


def _back_to_savepoint(session: Session, write: Write, index: int) -> Draft:
    """Roll back to a savepoint: the outer transaction commits, and keeps why."""
    with session.begin():
        with suppress(ChangedTheirMind), session.begin_nested():
            draft = write(session, index)
            raise ChangedTheirMind
        session.add(Refusal(reason=f"{draft.kind} {draft.number}: changed their mind"))
    return draft


def _plan(sign_ups: int, sign_up: Write, order: Write) -> list[tuple[Write, Fate]]:
    """Sign-ups and orders in an order that looks like chance and is the same each time; a fifth is rolled back."""
    plan = [(write, FATES[n % len(FATES)]) for n in range(sign_ups) for write in (sign_up, order)]
    random.Random(18).shuffle(plan)
    return plan
