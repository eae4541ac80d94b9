"""A worker inside FastAPI: it starts and stops with the application.

DATABASE_URL=... pgqueue migrate
DATABASE_URL=... uvicorn examples.worker_inside.fastapi_app:app --workers 4
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from pgqueue import PgQueue

pgq = PgQueue()


@pgq.task(name="inside.greet")
async def greet(name: str) -> str:
    """Make a greeting."""
    return f"Hello, {name}!"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run a worker beside the requests; close the pool of the enqueues in the end."""
    async with pgq.worker(concurrency=20, stop_timeout="5s"):
        yield
    await pgq.aclose()


app = FastAPI(lifespan=lifespan)


class Guest(BaseModel):
    """Whom to greet."""

    name: str


@app.post("/greetings", status_code=202)
async def create(guest: Guest) -> dict[str, str]:
    """Enqueue a greeting."""
    job = await greet.aenqueue(guest.name)
    return {"job": job.id}
