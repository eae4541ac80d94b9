"""The table of effects."""

from __future__ import annotations

import psycopg
import pytest

from tests.completion.effects import TABLE
from tests.poison.forks import forks

__all__ = ["forks"]


@pytest.fixture(autouse=True)
def table_of_effects(database: psycopg.Connection) -> None:
    database.execute(TABLE)
