"""Keys, bulk and states for SQL callers, roles."""

from __future__ import annotations

from pathlib import Path

from pgqueue.postgres.revisions import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FILES = Path(__file__).parent / "v0002"


def upgrade() -> None:
    run(*sorted(FILES.glob("[0-9]*.sql")))


def downgrade() -> None:
    run(FILES / "down.sql", FILES.parent / "v0001" / "04_enqueue.sql")
