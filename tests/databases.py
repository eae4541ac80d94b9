"""One database for all tests of a folder, emptied and checked after each: making one a test would take most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from pgqueue import EmbeddedServer
from tests.conftest import TEMPLATE

EMPTY = """
do $$ declare name text; begin
  if pg_relation_size('pgqueue.job') > 500000 then  -- what was rolled back takes room too, and slows the tests after it
    set local session_replication_role = replica;
    truncate pgqueue.job, pgqueue.ready, pgqueue.scheduled, pgqueue.job_key;
    set local session_replication_role = origin;
  end if;
  for name in select relname from pg_class where relnamespace = 'pgqueue'::regnamespace and relkind = 'r'
      and relname not in ('migration', 'home') and pg_relation_size(oid) > 0 loop
    execute format('delete from pgqueue.%I', name);
  end loop;
  if exists (select from pg_class where relnamespace = 'public'::regnamespace)
      or exists (select from pg_proc where pronamespace = 'public'::regnamespace) then
    drop schema public cascade;
    create schema public;
  end if;
end $$;
"""


@contextmanager
def shared(server: EmbeddedServer, name: str) -> Iterator[str]:
    """Make a migrated database; yield its URL."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        with psycopg.connect(server.dsn_of(name), autocommit=True) as fresh:
            fresh.execute("select pgqueue.adopt()")
        yield server.dsn_of(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def emptied(dsn: str) -> Iterator[str]:
    """Yield the URL; afterwards check that each live job stands in one place, and empty the database."""
    yield dsn
    with psycopg.connect(dsn, autocommit=True, options="-c lock_timeout=10s") as connection:
        misplaced = connection.execute("select id, run, places from pgqueue.misplaced_jobs").fetchall()
        connection.execute(EMPTY)
    assert misplaced == [], f"live jobs that do not stand in exactly one place: {misplaced}"
