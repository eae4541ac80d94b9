"""Worker processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.poison.forks import Forks, forking


@pytest.fixture(scope="session")
def forking_program() -> Iterator[Forks]:
    with forking("tests.poison.application") as forks:
        yield forks


@pytest.fixture
def forks(forking_program: Forks, dsn: str) -> Iterator[Forks]:
    """Starts workers, which end before their database does."""
    yield forking_program
    forking_program.end_all()
