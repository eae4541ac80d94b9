"""A task is named as a worker will import it, also when its module is run as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pgqueue import PgQueue, TaskError

SHOP = """
from pgqueue import PgQueue
pgq = PgQueue("postgresql://nowhere")
@pgq.task
def resize() -> None:
    "Make it smaller."
print(resize.name)
"""


@pytest.mark.parametrize("arguments", [["shop.py"], ["-m", "shop"], ["-m", "market"]], ids=" ".join)
def test_a_program_declares_what_its_module_declares(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "__main__.py").write_text(SHOP)
    ran = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ("market.resize" if "market" in arguments else "shop.resize")


def test_two_functions_of_one_name_are_refused() -> None:
    pgq = PgQueue("postgresql://nowhere")

    def declare(number: int) -> None:
        @pgq.task
        def work() -> int:
            return number

    declare(1)
    with pytest.raises(TaskError, match="Two functions declare the task"):
        declare(2)


def test_a_task_shows_the_name_and_the_documentation_of_its_function() -> None:
    pgq = PgQueue("postgresql://nowhere")

    @pgq.task
    def resize() -> None:
        """Make it smaller."""

    assert (resize.__name__, resize.__doc__) == ("resize", "Make it smaller.")  # type: ignore[attr-defined]
