"""A server that loads the application and then forks: no process speaks on another's connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.frameworks.sites import Answer, named, post, running
from tests.support import Watch
from tests.worker.test_forks import WRITERS

WAITING = "select count(*) = 2 from pg_stat_activity where wait_event_type = 'Lock'"


def test_each_process_enqueues_on_connections_of_its_own(dsn: str, database: psycopg.Connection) -> None:
    database.execute(WRITERS)
    with running({"prefork": ("tests.frameworks.prefork",)}, dsn) as processes, Watch(named(dsn)) as watch:
        address = processes["prefork"].address()
        placed = both(watch, dsn, address, "/orders", "shop_order")
        alone = both(watch, dsn, address, "/receipts/1", "pgqueue.job")
    assert [answer.status for answer in (*placed, *alone)] == [201, 201, 202, 202]
    backends: dict[str, int] = dict(database.execute("select job_id::text, backend from public.writers").fetchall())
    before = {backends.pop("1"), backends.pop("2")}
    assert set(backends) == {answer.body["job"] for answer in (*placed, *alone)}
    assert len(set(backends.values()) | before) == 6, "one of each pool in each of three processes"


def both(watch: Watch, dsn: str, address: str, path: str, locked: str) -> list[Answer]:
    """Post to both processes: each is held in a request until the other one has got the next."""
    with ThreadPoolExecutor(2) as pool, psycopg.connect(named(dsn)) as keeper:
        keeper.execute(f"lock table {locked} in exclusive mode")
        pending = [pool.submit(post, address, path, {"reference": f"{path} {n}", "card": ""}) for n in range(2)]
        watch.until(WAITING)
        keeper.commit()
        answers = [answer.result() for answer in pending]
    assert len({answer.process for answer in answers}) == 2
    return answers
