"""Where the jobs are: from what the application says, or from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from pgqueue.model.errors import ConfigurationError
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.explain import DEFAULT_SCHEMA
from pgqueue.postgres.statements import check_schema

_DRIVER = re.compile(r"^(postgres(?:ql)?)\+\w+://")


def resolve(dsn: str | None, schema: str | None) -> Settings:
    """Return the settings: the arguments, else PGQUEUE_DSN, DATABASE_URL or PG*, and PGQUEUE_SCHEMA or "pgqueue".

    PGQUEUE_DIRECT_DSN is the way around a pooler, for LISTEN alone.

    Raises:
        ConfigurationError: No DSN is given anywhere, one cannot be read, or the schema's name is not a plain one.
    """
    if dsn is not None and not isinstance(dsn, str):
        raise ConfigurationError(f"dsn={dsn!r} is not text.", "Write postgresql://user:password@host:5432/database.")
    chosen = dsn or os.environ.get("PGQUEUE_DSN") or os.environ.get("DATABASE_URL") or ""
    if not chosen and not any(os.environ.get(name) for name in ("PGHOST", "PGDATABASE", "PGSERVICE", "PGUSER")):
        raise ConfigurationError(
            "No database is given.", "Set PGQUEUE_DSN, for example to postgresql://user@localhost/shop, or pass a DSN."
        )
    direct = os.environ.get("PGQUEUE_DIRECT_DSN")
    return Settings(_readable(chosen), resolve_schema(schema), _readable(direct) if direct else None)


def _readable(dsn: str) -> str:
    plain = _DRIVER.sub(r"\1://", dsn)
    try:
        conninfo_to_dict(plain)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(
            f"The DSN cannot be read ({str(error).strip()}).", "Write postgresql://user:password@host:5432/database."
        ) from None
    return plain


def dsn_from(parameters: Mapping[str, Any]) -> str:
    """Return a DSN of those of a driver's parameters that are libpq's own."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    return make_conninfo(**{name: value for name, value in parameters.items() if name in known})


def resolve_schema(schema: str | None) -> str:
    """Return the schema's name: the argument, else PGQUEUE_SCHEMA, else "pgqueue".

    Raises:
        ConfigurationError: It is not a plain one.
    """
    return check_schema(schema or os.environ.get("PGQUEUE_SCHEMA") or DEFAULT_SCHEMA)
