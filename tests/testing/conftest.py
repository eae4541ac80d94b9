"""A small shop, and its jobs as its own tests would see them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from pgqueue import PgQueue, RetryAfter, RetryPolicy, Snooze, Task
from pgqueue.testing import Jobs


class Shop(NamedTuple):
    """An application and what its handlers did.

    Attributes:
        send: Sends a mail; takes defaults.
        charge: Charges a card; fails on "stolen", asks for another time on "later" and "busy".
        ran: Arguments of each call, in order.
    """

    pgq: PgQueue[None]
    send: Task[..., None]
    charge: Task[..., None]
    ran: list[Any]


@pytest.fixture
def shop(pgq: PgQueue[None]) -> Shop:
    ran: list[Any] = []

    @pgq.task(name="shop.send", queue="email")
    async def send(user: int, address: str = "nobody@example.com", subject: str = "Welcome") -> None:
        ran.append(user)

    @pgq.task(name="shop.charge", retry=RetryPolicy(max_retries=2, delays=["1h"]))
    def charge(card: str) -> None:
        ran.append(card)
        if card == "stolen":
            raise ValueError("refused by the bank")
        if card == "later":
            raise Snooze("1h")
        if card == "busy":
            raise RetryAfter("1h")

    return Shop(pgq, send, charge, ran)


@pytest.fixture
def jobs(shop: Shop) -> Jobs:
    return Jobs(shop.pgq)
