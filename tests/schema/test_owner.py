"""No superuser is needed: the owner of a database migrates it and works in it."""

from __future__ import annotations

import psycopg

from pgqueue import EmbeddedServer, PgQueue
from tests.support import Watch


async def test_the_owner_of_a_database_needs_no_other_rights(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as superuser:
        superuser.execute("create role plain_owner login")
        superuser.execute("create database plainly_owned owner plain_owner")
        try:
            await _work(PgQueue(server.dsn_of("plainly_owned").replace("postgres@", "plain_owner@")))
        finally:
            superuser.execute("drop database plainly_owned with (force)")
            superuser.execute("drop role plain_owner")


async def _work(pgq: PgQueue[None]) -> None:
    assert pgq.migrate()[0] == "base"

    @pgq.task
    async def note() -> None: ...

    job = await note.aenqueue()
    with Watch(pgq.settings.dsn) as watch:
        async with pgq.worker(concurrency=1):
            await watch.auntil("select state = 'succeeded' from pgqueue.all_jobs where id = %s", job.id)
    await pgq.aclose()
