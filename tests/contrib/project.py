"""An application that has an Alembic of its own, in a temporary folder."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NamedTuple

import alembic
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

TEMPLATE = Path(alembic.__file__).parent / "templates" / "generic" / "script.py.mako"

_CALL = re.compile(r"^ +op\.(\w+)\(", re.MULTILINE)
ENVIRONMENT = """
from alembic import context
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text
from pgqueue.contrib.alembic import without_pgqueue

THEIRS = {theirs!r}
target_metadata = MetaData(schema=THEIRS)
customer = Table("customer", target_metadata, Column("id", Integer, primary_key=True), Column("name", Text, index=True))
Table("purchase", target_metadata, Column("id", Integer, primary_key=True), Column("buyer", ForeignKey(customer.c.id)))

common = dict(target_metadata=target_metadata, version_table_schema=THEIRS)
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", **common)
else:
    context.configure(connection=context.config.attributes["connection"], **common, {options})
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
from alembic import op
from pgqueue.contrib.alembic import downgrade as pgqueue_downgrade, upgrade as pgqueue_upgrade

revision = {name!r}
down_revision = {after!r}

def upgrade():
    {up}

def downgrade():
    {down}
"""


class Found(NamedTuple):
    """The operations that autogenerate wrote, in order."""

    up: list[str]
    down: list[str]
    text: str


class Project:
    """A folder of migrations, run on one database."""

    def __init__(self, folder: Path, dsn: str, *, options: str = "", theirs: str | None = None, path: str = "") -> None:
        self._folder = folder
        self._dsn = dsn.replace("postgresql://", "postgresql+psycopg://")
        self._path = path
        (folder / "versions").mkdir(parents=True)
        (folder / "script.py.mako").write_text(TEMPLATE.read_text())
        (folder / "env.py").write_text(ENVIRONMENT.format(theirs=theirs, options=options or "include_schemas=False"))
        self._last: str | None = None

    def add(self, name: str, up: str, down: str = "pass") -> None:
        """Write a revision by hand."""
        text = REVISION.format(name=name, after=self._last, up=up, down=down)
        (self._folder / "versions" / f"{name}.py").write_text(text)
        self._last = name

    def autogenerate(self) -> Found:
        """Write a revision from the difference, as ``alembic revision --autogenerate``."""
        with self._connected() as connection:
            script = command.revision(self.config(connection), autogenerate=True)
        assert script is not None
        assert not isinstance(script, list)
        text = Path(script.path).read_text()
        up, down = text.split("def downgrade()")
        return Found(_CALL.findall(up), _CALL.findall(down), text)

    def upgrade(self, to: str = "head") -> None:
        """Run ``alembic upgrade``."""
        with self._connected() as connection:
            command.upgrade(self.config(connection), to)

    def downgrade(self, to: str) -> None:
        """Run ``alembic downgrade``."""
        with self._connected() as connection:
            command.downgrade(self.config(connection), to)

    def check(self) -> None:
        """Run ``alembic check``; it raises when it would find something to do."""
        with self._connected() as connection:
            command.check(self.config(connection))

    def written(self, revisions: str, *, down: bool = False) -> str:
        """Return what ``alembic upgrade --sql`` prints."""
        config = self.config(None)
        config.output_buffer = io.StringIO()
        (command.downgrade if down else command.upgrade)(config, revisions, sql=True)
        return config.output_buffer.getvalue()

    def config(self, connection: Connection | None) -> Config:
        """Return what Alembic's commands need."""
        config = Config(stdout=io.StringIO())
        config.set_main_option("script_location", str(self._folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        return config

    def _connected(self) -> Connection:
        arguments = {"options": f"-csearch_path={self._path}"} if self._path else {}
        return create_engine(self._dsn, poolclass=NullPool, connect_args=arguments).connect()
