"""A site with a worker in each process, for the test that stops it: some jobs are quick, others hold until they are cancelled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgqueue import JobSpec, PgQueue
from pgqueue.contrib.asgi import with_worker

STOP_SECONDS = 0.5
pgq = PgQueue()


@pgq.task(name="quick")
async def quick(number: int) -> int:
    return number


@pgq.task(name="hold")
async def hold() -> None:
    await asyncio.Event().wait()


async def create(request: Request) -> JSONResponse:
    """Enqueue some jobs and return their ids."""
    asked = json.loads(await request.body())
    jobs: list[JobSpec[Any]] = [quick.job(number) for number in range(int(asked["quick"]))]
    jobs += [hold.job() for _ in range(int(asked["hold"]))]
    return JSONResponse([job.id for job in await pgq.aenqueue_many(jobs)], 202)


app = with_worker(
    Starlette(routes=[Route("/jobs", create, methods=["POST"])]), pgq, concurrency=4, stop_timeout=STOP_SECONDS
)
