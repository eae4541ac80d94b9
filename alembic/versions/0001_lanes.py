"""Jobs, lanes, leases, history, services, views."""

from __future__ import annotations

from pathlib import Path

from pgqueue.postgres.revisions import run

revision = "0001"
down_revision = None
branch_labels = ("pgqueue",)
depends_on = None

FILES = Path(__file__).parent / "v0001"


def upgrade() -> None:
    run(*sorted(FILES.glob("[0-9]*.sql")))


def downgrade() -> None:
    run(FILES / "down.sql")
