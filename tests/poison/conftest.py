"""Worker processes for the tests of this folder."""

from __future__ import annotations

from tests.poison.forks import forks

__all__ = ["forks"]
