"""Statements live in sql/<folder>/<verb>.sql; this reads them. Only the schema's name is put in, nothing is formatted."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from psycopg import sql

from pgqueue.model.errors import ConfigurationError

_COMMENT = re.compile(r"\s*--.*$", re.MULTILINE)
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,39}")


def check_schema(schema: str) -> str:
    """Return the schema's name if it is a plain one; SQL text quotes it all the same, for it may be a reserved word.

    Raises:
        ConfigurationError: It is not a plain lower-case identifier of at most 40 characters.
    """
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigurationError(
            f"schema {schema!r} is not a plain lower-case identifier of at most 40 characters.",
            'Choose one like "pgqueue" or "jobs_eu".',
        )
    return schema


def quoted(schema: str) -> str:
    """Return the schema's name as it stands in SQL text."""
    return sql.Identifier(schema).as_string()


@cache
def statement(name: str, schema: str) -> bytes:
    """Return the text of sql/<name>.sql for this schema, without its comments.

    Args:
        name: For example "ready/claim".
        schema: Checked by check_schema.
    """
    text = resources.files("pgqueue.postgres").joinpath("sql", f"{name}.sql").read_text("utf-8")
    return _COMMENT.sub("", text).replace("{schema}", quoted(schema)).strip().encode()
