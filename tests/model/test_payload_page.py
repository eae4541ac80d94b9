"""docs/payload.md says what is stored for each type."""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
import typing
import uuid
import zoneinfo
from typing import Any

import pytest

from pgqueue.model import payload, writing
from tests.docs.pages import DOCS, table
from tests.model import test_converters
from tests.model.kinds import returned, stored

PAGE = DOCS / "payload.md"
NAMES: dict[str, Any] = {
    name: value
    for module in (datetime, decimal, pathlib, typing, uuid, zoneinfo, test_converters)
    for name, value in vars(module).items()
}
ROWS = [
    [cell.strip("`") for cell in (annotation, value, written)]
    for annotation, _, value, written in table(PAGE, "| Annotation | Stored as | Value | Stored |")
]


@pytest.mark.parametrize(("annotation", "value", "written"), ROWS, ids=[row[1] for row in ROWS])
def test_a_value_of_the_table_is_stored_as_the_page_says(annotation: str, value: str, written: str) -> None:
    kind, passed = eval(annotation, NAMES), eval(value, NAMES)
    assert stored(passed, kind) == json.loads(written)
    assert returned(passed, kind) == passed


def test_the_limits_are_as_stated() -> None:
    text = PAGE.read_text()
    assert f"more than {writing.DEEPEST_PAYLOAD} levels" in text
    assert payload.LARGEST_PAYLOAD == 2**20
    assert "arguments over 1 MiB" in text
    assert f"a result over {payload.LARGEST_RESULT // 1024} KiB" in text
