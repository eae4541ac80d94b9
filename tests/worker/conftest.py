"""Worker processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.poison.forks import forks
from tests.worker.processes import Crew

__all__ = ["crew", "forks"]


@pytest.fixture
def crew(worker_dsn: str, dsn: str, tmp_path: Path) -> Iterator[Crew]:
    """Worker processes on the test's database."""
    members = Crew(worker_dsn, tmp_path, dsn)
    yield members
    members.end()
