"""What is installed from the wheel can migrate without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import psycopg
import pytest

from tests.schema.catalogue import objects
from tests.support import ROOT

MIGRATE = """
import sys
import pgqueue
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import head, migrate
assert sys.argv[2] in pgqueue.__file__, pgqueue.__file__
assert migrate(Settings(sys.argv[1], "pgqueue")) == ("base", head())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the repository as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_its_sql_and_its_migrations_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = {str(p.relative_to(ROOT)) for p in (ROOT / "pgqueue").rglob("*") if p.suffix in {".py", ".sql", ".typed"}}
    moved = {
        str("pgqueue/migrations" / p.relative_to(ROOT / "alembic"))
        for p in (ROOT / "alembic").rglob("*")
        if p.suffix in {".py", ".sql"}
    }
    assert source | moved <= names
    assert {name.split("/")[0] for name in names} == {"pgqueue"}
    assert not [name for name in names if "__pycache__" in name or "test" in name.split("/")]


def test_an_installed_wheel_can_migrate(wheel: Path, empty: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--no-compile", "--target", str(site), str(wheel)],
        env=environment, check=True,
    )  # fmt: skip
    # The dependencies come from the environment that runs the tests; its own copy of the package stands behind.
    environment["PYTHONPATH"] = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    migrated = subprocess.run(
        [sys.executable, "-S", "-c", MIGRATE, empty, str(site)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert migrated.returncode == 0, migrated.stderr
    with psycopg.connect(empty) as connection:
        assert len(objects(connection, "pgqueue")) > 200
