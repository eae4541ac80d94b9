"""docs/frameworks.md shows the examples as they are, and a whole program that works."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import psycopg
import pytest

from tests.docs.pages import DOCS, Block, blocks
from tests.frameworks.conftest import UVICORN
from tests.frameworks.sites import Site, named, running
from tests.support import ROOT, Watch

PAGE = DOCS / "frameworks.md"
PART = re.compile(r"<!-- not run: part of (\S+) -->$")
PARTS = [block for block in blocks(PAGE, "python") if PART.search(block.above)]


def test_every_framework_is_shown() -> None:
    shown = {match[1].split("/")[1] for block in PARTS if (match := PART.search(block.above))}
    assert shown == {"django_shop", "fastapi_shop.py", "flask_shop.py"}


@pytest.mark.parametrize("block", PARTS, ids=lambda block: f"line {block.line}")
def test_what_the_page_shows_of_an_example_stands_there_in_this_order(block: Block) -> None:
    match = PART.search(block.above)
    assert match is not None
    rest = (ROOT / match[1]).read_text()
    for paragraph in block.text.strip("\n").split("\n\n"):
        _, found, rest = rest.partition("\n" + paragraph.strip("\n") + "\n")
        assert found, f"{match[1]} does not say:\n{paragraph}"


def test_the_starlette_program_works(dsn: str, database: psycopg.Connection, tmp_path: Path) -> None:
    (program,) = (block for block in blocks(PAGE, "python") if block not in PARTS)
    (tmp_path / "shop.py").write_text(program.text)
    database.execute("create table shop_order (id bigint generated always as identity, reference text)")
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    with (
        running({"asgi": (*UVICORN, "shop:app")}, url, tmp_path) as processes,
        Watch(named(dsn)) as watch,
    ):
        site = Site(dsn, watch, processes)
        assert site.post("asgi", "/orders", reference=uuid.uuid4().hex, card="stolen").status == 500
        assert (site.counts(), site.enqueues()) == ((0, 0), 1)
        status, placed, _ = site.post("asgi", "/orders", reference=uuid.uuid4().hex)
        assert status == 201
        watch.until("select state = 'succeeded' from pgqueue.all_jobs where id = %s", placed["job"])
        assert site.counts() == (1, 1)
    assert f"receipt for order {placed['order']}\n" in processes["asgi"].output
