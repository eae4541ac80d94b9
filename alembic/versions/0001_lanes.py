"""Jobs, lanes, leases, history, services, views."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("pgqueue",)
depends_on = None

FILES = Path(__file__).parent / "v0001"


def upgrade() -> None:
    for file in sorted(FILES.glob("[0-9]*.sql")):
        _run(file)


def downgrade() -> None:
    _run(FILES / "down.sql")


def _run(file: Path) -> None:
    """Execute a file as it is: no bind parameters, so that % and : in its text mean nothing."""
    context = op.get_context()
    sql = file.read_text().replace("{schema}", op.get_context().config.attributes["quoted"])
    if context.as_sql:
        context.impl.static_output(sql)
    else:
        context.connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
