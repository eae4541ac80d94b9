"""What a look at the database finds: each check asks one statement of sql/doctor and says one line."""

from __future__ import annotations

from pgqueue.postgres.doctor.examine import diagnose

__all__ = ["diagnose"]
