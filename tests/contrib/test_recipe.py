"""The recipe of docs/alembic.md, in a project that ``alembic init`` made, by the real command."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config

from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import pending
from tests.docs.pages import DOCS, blocks
from tests.support import ROOT

CONFIGURE = re.compile(
    r"^ +context\.configure\(\s+connection=connection, target_metadata=target_metadata\s+\)", re.MULTILINE
)
MODELS = """
import sqlalchemy
target_metadata = sqlalchemy.MetaData()
sqlalchemy.Table("receipt", target_metadata, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))
"""


def make_project(folder: Path, dsn: str) -> None:
    """Make a new project, and do what the page says."""
    config = Config(folder / "alembic.ini", stdout=io.StringIO())
    command.init(config, str(folder / "migrations"))
    ini = (folder / "alembic.ini").read_text()
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    (folder / "alembic.ini").write_text(
        re.sub("^sqlalchemy.url = .*", f"sqlalchemy.url = {url}", ini, flags=re.MULTILINE)
    )
    environment, revision = (
        next(block.text for block in blocks(DOCS / "alembic.md", "python") if word in block.text)
        for word in ("without_pgqueue", "pgqueue_upgrade")
    )
    text = (folder / "migrations" / "env.py").read_text().replace("target_metadata = None", MODELS)
    text, times = CONFIGURE.subn(lambda _: textwrap.indent(environment, " " * 8), text)
    assert times == 1
    (folder / "migrations" / "env.py").write_text(text)
    (folder / "migrations" / "versions" / "jobs1.py").write_text(revision)


def alembic(folder: Path, *words: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", "import sys, alembic.config; sys.exit(alembic.config.main())", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_recipe_works(dsn: str, database: psycopg.Connection, tmp_path: Path) -> None:
    database.execute("drop schema pgqueue cascade")
    make_project(tmp_path, dsn)
    alembic(tmp_path, "upgrade", "head")
    assert pending(Settings(dsn, "pgqueue"))[0] == "0003"
    alembic(tmp_path, "revision", "--autogenerate", "-m", "receipts")
    (written,) = (tmp_path / "migrations" / "versions").glob("*_receipts.py")
    assert re.findall(r"^ +op\.(\w+)", written.read_text(), re.MULTILINE) == ["create_table", "drop_table"]
    alembic(tmp_path, "upgrade", "head")
    assert "No new upgrade operations detected" in alembic(tmp_path, "check")
