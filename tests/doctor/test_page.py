"""The pages on the doctor and on poolers say what is so."""

from __future__ import annotations

import re

from pgqueue.postgres.connections import PINNED
from pgqueue.postgres.doctor import examine, place, server, work
from tests.docs.pages import DOCS, blocks, table
from tests.doctor.conftest import Look


def test_the_page_lists_every_check_in_its_order(look: Look) -> None:
    rows = table(DOCS / "doctor.md", "| Check | Looks at | Complains when |")
    assert [row[0].strip("`") for row in rows] == list(look())


def test_the_page_knows_when_a_check_complains() -> None:
    rows = table(DOCS / "doctor.md", "| Check | Looks at | Complains when |")
    told = {name.strip("`"): words for name, _, words in rows}
    assert f"more than {place.SLOW_CONNECT:g} s" in told["connection"]
    assert f"more than {place.LARGEST_SKEW:g} s" in told["clock"]
    assert f"fewer than {server.FEW_CONNECTIONS}" in told["connections"]
    assert f"for {server.OLD_TRANSACTION / 60:g} min, or {server.OLD_SNAPSHOT:,} transactions" in told["horizon"]
    assert f"{server.MANY_DEAD:,}" in told["lanes"]
    assert f"silent for {work.SILENT:g} s" in told["workers"]
    assert len(examine._OF_THE_SCHEMA) == len(rows) - list(told).index("home") - 3


def test_the_page_on_poolers_shows_the_settings_that_are_printed() -> None:
    text = next(b.text for b in blocks(DOCS / "poolers.md", "text") if "alter role" in b.text)
    shown = dict(re.findall(r"set (\w+) = '(.+)';", text))
    wanted = {name: value.replace("\\", "") for name, value in PINNED.items()}
    assert shown == {name: value for name, value in wanted.items() if name != "default_transaction_isolation"}
