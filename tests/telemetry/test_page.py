"""docs/logs.md names every event, with its level."""

from __future__ import annotations

import logging
import re

from pgqueue.telemetry.kinds import KINDS
from tests.docs.pages import DOCS, table

PAGE = DOCS / "logs.md"


def test_the_page_has_every_event_with_its_level() -> None:
    stated: dict[str, str] = {}
    for names, levels, _ in table(PAGE, "| Event | Level | When |"):
        events, words = re.findall(r"`([\w.]+)`", names), levels.split(", ")
        stated.update(zip(events, words if len(words) > 1 else words * len(events), strict=True))
    assert stated == {name: logging.getLevelName(kind.level).lower() for name, kind in KINDS.items()}


def test_the_page_has_every_status() -> None:
    (stated,) = (values for name, values in table(PAGE, "| Name | Value |") if name == "`status`")
    assert set(re.findall(r"`(\w+)`", stated)) == {kind.status for kind in KINDS.values()} - {None}
