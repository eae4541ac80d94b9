"""The worker in full: suspects, checkpoints, completion in the handler's transaction, expiry by the server's clock."""

from __future__ import annotations

from pathlib import Path

from pgqueue.postgres.revisions import run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FILES = Path(__file__).parent / "v0003"


def upgrade() -> None:
    run(*sorted(FILES.glob("[0-9]*.sql")))


def downgrade() -> None:
    run(FILES / "down.sql")
