"""Worker processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.processes import Crew


@pytest.fixture
def crew(dsn: str, tmp_path: Path) -> Iterator[Crew]:
    """Worker processes on the test's database."""
    members = Crew(dsn, tmp_path)
    yield members
    members.end()
