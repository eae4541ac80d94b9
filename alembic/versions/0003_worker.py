"""The worker in full: suspects, checkpoints, completion in the handler's transaction, expiry by the server's clock."""

from __future__ import annotations

from pathlib import Path

from pgqueue.postgres.revisions import restore, run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FILES = Path(__file__).parent / "v0003"


def upgrade() -> None:
    run(*sorted(FILES.glob("[0-9]*.sql")))


def downgrade() -> None:
    restore(FILES.parent / "v0002", "write_jobs", "replace_job", "pause", "role_grants")
    restore(FILES.parent / "v0002", "more_of", "enqueue", "field_problem", "enqueue_many")
    run(FILES / "down.sql")
