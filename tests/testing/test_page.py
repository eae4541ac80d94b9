"""docs/testing.md is a project whose tests pass, and says what they print."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from pgqueue import EmbeddedServer
from tests.docs.pages import DOCS, blocks
from tests.support import ROOT

pytest_plugins = ["pytester"]
PAGE = DOCS / "testing.md"
BACKEND = """

@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
"""


def files() -> dict[str, str]:
    """Return the page's files by name: a block belongs to the file that the line above it names last."""
    found: dict[str, str] = defaultdict(str)
    for block in blocks(PAGE, "python"):
        name = re.search(r"`(\w+\.py)`:$", block.above)
        if name is not None:
            found[name[1]] += block.text
    return found


def test_the_tests_of_the_page_pass(
    pytester: pytest.Pytester, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGQUEUE_TEST_DSN", server.dsn)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert list(files()) == ["shop.py", "conftest.py", "test_jobs.py", "test_runs.py", "test_orders.py"]
    for name, text in files().items():
        (pytester.path / name).write_text(text + (BACKEND if name == "conftest.py" else ""))
    pytester.makeini("[pytest]\nfilterwarnings = error\nanyio_mode = auto")
    result = pytester.runpytest_inprocess("-rA", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=8)
    shown, _ = blocks(PAGE, "text")
    result.stdout.fnmatch_lines(
        [re.sub(r"([\[\]])", r"[\1]", line) for line in shown.text.splitlines()], consecutive=True
    )
