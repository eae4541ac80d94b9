"""The documents as data: pages, fenced blocks, tables, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

DOCS = ROOT / "docs"
NOT_RUN = re.compile(r"<!-- not run: .+ -->$")
_FENCE = re.compile(r"^```(\w*)\s*$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language, its text, the line of its first line, the heading and the line above it."""

    language: str
    text: str
    line: int
    heading: str
    above: str


def pages() -> list[Path]:
    """Return every document: those at the top, and all in docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's path as a reader writes it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, all or those of one language."""
    found: list[Block] = []
    heading = above = opened = ""
    lines: list[str] | None = None
    begins = 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if lines is not None:
            if fence:
                found.append(Block(opened, "\n".join(lines) + "\n", begins, heading, above))
                lines = None
            else:
                lines.append(line)
        elif fence:
            opened, lines, begins = fence[1], [], number + 1
        elif line.strip():
            heading = line.lstrip("# ") if line.startswith("#") else heading
            above = line
    return [block for block in found if language in (None, block.language)]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```\s*$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def table(page: Path, header: str) -> list[list[str]]:
    """Return the rows of the table whose header row is this one."""
    lines = page.read_text().splitlines()
    rows: list[list[str]] = []
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
