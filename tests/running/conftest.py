"""Worker programs for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running.programs import Programs


@pytest.fixture
def programs(dsn: str, tmp_path: Path) -> Iterator[Programs]:
    """``pgqueue worker`` on the test's database."""
    started = Programs(dsn, tmp_path)
    yield started
    started.end()
