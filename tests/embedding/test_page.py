"""docs/embedding.md shows the examples as they are."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS, Block, blocks
from tests.frameworks.test_page import PART
from tests.support import ROOT

PARTS = [block for block in blocks(DOCS / "embedding.md", "python") if PART.search(block.above)]


@pytest.mark.parametrize("block", PARTS, ids=lambda block: f"line {block.line}")
def test_what_the_page_shows_of_an_example_stands_there(block: Block) -> None:
    match = PART.search(block.above)
    assert match is not None
    assert f"\n{block.text.rstrip()}\n" in (ROOT / match[1]).read_text()


def test_every_kind_of_program_is_shown() -> None:
    assert len(PARTS) == 4
