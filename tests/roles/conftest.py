"""One login role of the database for each role of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from pgqueue import EmbeddedServer

ROLES = ("producer", "worker", "auditor", "admin")
Login = Callable[[str], str]


@pytest.fixture
def login(server: EmbeddedServer, dsn: str, request: pytest.FixtureRequest) -> Iterator[Login]:
    """Return the DSN of a role: one of ours, or "stranger", to whom nothing was granted."""
    made: dict[str, str] = {}
    mark = f"{abs(hash(request.node.nodeid)):x}"

    def make(role: str) -> str:
        if role not in made:
            made[role] = f"{role}_{mark}"
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute(sql.SQL("create role {} login").format(sql.Identifier(made[role])))
                if role in ROLES:
                    owner.execute("select pgqueue.grant_access(%s, %s)", (role, made[role]))
        return dsn.replace("postgres@", f"{made[role]}@", 1)

    yield make
    with psycopg.connect(dsn, autocommit=True) as owner:
        for name in made.values():
            owner.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))
