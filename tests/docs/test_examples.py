"""What the documents show runs: Python blocks of a page in their order, and every SQL block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from pgqueue import PgQueue
from tests.docs.pages import NOT_RUN, Block, blocks, name_of, pages
from tests.support import ROOT

MODULE = "shop"
README = ROOT / "README.md"


def _is_run(block: Block) -> bool:
    return not NOT_RUN.search(block.above)


def _with(language: str) -> list[Path]:
    return [page for page in pages() if any(map(_is_run, blocks(page, language)))]


@pytest.fixture
def reader(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An empty module, in the environment of somebody who reads the documents."""
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("DATABASE_URL", dsn.replace("postgresql://", "postgresql+psycopg://"))
    yield module
    pgq = getattr(module, "pgq", None)
    if isinstance(pgq, PgQueue):
        pgq.close()


@pytest.mark.parametrize("page", [page for page in _with("python") if page != README], ids=name_of)
def test_the_python_of_a_page_runs_in_its_order(page: Path, reader: ModuleType) -> None:
    for block in filter(_is_run, blocks(page, "python")):
        _run(page, block, reader)


def test_the_readme_does_what_it_says(
    reader: ModuleType, database: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = blocks(README, "python")
    _run(README, first, reader)
    assert capsys.readouterr().out == blocks(README, "text")[0].text
    for block in others:
        _run(README, block, reader)
    assert capsys.readouterr().out == blocks(README, "text")[1].text
    assert database.execute("select id from shop_order order by id").fetchall() == [(1,), (2,)]
    stored = "select state, queue, priority, args, tags from pgqueue.all_jobs where task = 'shop.send_receipt' order by id limit 2"
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (1 + 1 + 1000 + 1,)
    assert database.execute(stored).fetchall() == [
        ("ready", "email", 0, {"order_id": 1}, ["shop"]),
        ("scheduled", "email", 5, {"order_id": 2}, None),
    ]


def test_the_sql_of_all_pages_runs(database: psycopg.Connection) -> None:
    for page in _with("sql"):
        for block in filter(_is_run, blocks(page, "sql")):
            try:
                database.execute(block.text.encode())
            except psycopg.Error as error:
                pytest.fail(f"{name_of(page)}:{block.line}: {error}")


def _run(page: Path, block: Block, module: ModuleType) -> None:
    # Blank lines put the block where it stands on the page, so that a traceback names the page's line.
    text = "\n" * (block.line - 1) + block.text
    exec(compile(text, name_of(page), "exec", dont_inherit=True), module.__dict__)
