"""The payment provider, the only thing here that is played: it takes its time, and now and then it is not there.

Its moods follow from the order's number alone, so each run of the demonstration meets the same ones.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple


class ProviderUnavailable(Exception):
    """The provider did not answer."""


class Mood(NamedTuple):
    """How the provider treats an order: how long it takes, and how often it fails before it does its work."""

    seconds: float
    failures: int


def mood(order: int) -> Mood:
    """Return how the provider will treat an order: one in six fails once, one in eighteen twice."""
    failures = 2 if order % 18 == 0 else 1 if order % 6 == 0 else 0
    return Mood(0.2 + order * 37 % 100 / 100, failures)


async def charge(order: int, attempt: int) -> None:
    """Take the money.

    Raises:
        ProviderUnavailable: It is in the mood.
    """
    seconds, failures = mood(order)
    await asyncio.sleep(seconds)
    if attempt <= failures:
        raise ProviderUnavailable(f"503 for order {order}, attempt {attempt}")
