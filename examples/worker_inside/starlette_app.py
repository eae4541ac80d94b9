"""A worker inside Starlette: it starts and stops with the application.

DATABASE_URL=... uvicorn examples.worker_inside.starlette_app:app --workers 4
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgqueue import PgQueue

pgq = PgQueue()


@pgq.task(name="inside.greet")
async def greet(name: str) -> str:
    """Make a greeting."""
    return f"Hello, {name}!"


async def create(request: Request) -> JSONResponse:
    """Enqueue a greeting."""
    guest = await request.json()
    job = await greet.aenqueue(guest["name"])
    return JSONResponse({"job": job.id}, 202)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Run a worker beside the requests; close the pool of the enqueues in the end."""
    async with pgq.worker(concurrency=20, stop_timeout="5s"):
        yield
    await pgq.aclose()


app = Starlette(routes=[Route("/greetings", create, methods=["POST"])], lifespan=lifespan)
