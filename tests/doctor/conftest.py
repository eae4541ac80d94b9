"""The doctor's findings by name, and logins with less than everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue import PgQueue
from pgqueue.backend import Finding
from tests.roles.conftest import login

__all__ = ["login"]

Look = Callable[..., dict[str, Finding]]


@pytest.fixture
def look(dsn: str) -> Look:
    """Return what the doctor finds in the test's database, or in another one."""

    def found(other: str = dsn) -> dict[str, Finding]:
        findings = PgQueue(other).inspector.diagnose()
        named = {finding.name: finding for finding in findings}
        assert len(named) == len(findings)
        return named

    return found
