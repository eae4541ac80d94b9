"""One thin path through everything."""

from __future__ import annotations

from pgqueue import PgQueue
from tests.support import Watch


async def test_an_enqueued_job_is_run_and_stays_as_history(pgq: PgQueue[None], watch: Watch) -> None:
    greeted: list[str] = []

    @pgq.task
    async def greet(name: str) -> None:
        greeted.append(name)

    job = greet.enqueue("Ada")
    async with pgq.worker(concurrency=2):
        await watch.auntil("select true from pgqueue.all_jobs where id = %s and state = 'succeeded'", job.id)
    assert greeted == ["Ada"]
