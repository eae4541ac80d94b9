"""A small shop on FastAPI and asynchronous SQLAlchemy; docs/frameworks.md explains it.

DATABASE_URL=... pgqueue migrate
DATABASE_URL=... uvicorn examples.fastapi_shop:app
DATABASE_URL=... pgqueue worker examples.fastapi_shop:pgq
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import ForeignKey, UniqueConstraint, insert, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgqueue import Job, JobNotCommitted, PgQueue

pgq = PgQueue()
url = make_url(os.environ["DATABASE_URL"])
engine = create_async_engine(url.set(drivername="postgresql+psycopg"))
other_engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    """An order; that its reference is the only one is checked at the commit."""

    __tablename__ = "shop_order"
    __table_args__ = (UniqueConstraint("reference", deferrable=True, initially="DEFERRED"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str]


class Receipt(Base):
    """The trace that a job leaves."""

    __tablename__ = "shop_receipt"
    order_id: Mapped[int] = mapped_column(ForeignKey("shop_order.id"), primary_key=True)


class Draft(BaseModel):
    """What a customer sends."""

    reference: str
    card: str


class Placed(BaseModel):
    """What a customer gets."""

    order: int
    job: str
    risk: int | None = None


class CardRefused(Exception):
    """The bank says no, after all was written."""


@pgq.task(name="shop.send_receipt", queue="email")
async def send_receipt(order_id: int) -> None:
    """Write the receipt; twice is as good as once."""
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(postgresql.insert(Receipt).values(order_id=order_id).on_conflict_do_nothing())


@pgq.task(name="shop.assess", queue="risk")
def assess(reference: str) -> int:
    """Say how risky an order is."""
    return len(reference)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables, and close what was opened."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await pgq.aclose()
    await engine.dispose()
    await other_engine.dispose()


app = FastAPI(lifespan=lifespan)


async def transaction() -> AsyncIterator[AsyncSession]:
    """Give a request its session; it is committed when the endpoint has returned, rolled back when it has raised."""
    async with AsyncSession(engine) as session, session.begin():
        yield session


async def other_transaction() -> AsyncIterator[AsyncSession]:
    """Do the same on asyncpg."""
    async with AsyncSession(other_engine) as session, session.begin():
        yield session


async def bound_transaction() -> AsyncIterator[AsyncSession]:
    """Do the same, and let all that is enqueued meanwhile belong to it."""
    async with AsyncSession(engine) as session, session.begin():
        with pgq.bind(session):
            yield session


# Without scope="function" the customer would be told before the commit, which may fail.
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
OtherTransaction = Annotated[AsyncSession, Depends(other_transaction, scope="function")]
BoundTransaction = Annotated[AsyncSession, Depends(bound_transaction, scope="function")]


async def add_order(session: AsyncSession, draft: Draft) -> int:
    """Write an order and return its id."""
    written = await session.execute(insert(Order).values(reference=draft.reference).returning(Order.id))
    return written.scalar_one()


async def place(session: AsyncSession, draft: Draft) -> Placed:
    """Write an order and enqueue its receipt, in the transaction that is open."""
    order = await add_order(session, draft)
    job = await send_receipt.using(session).aenqueue(order)
    return _charged(draft, order, job)


@app.post("/orders", status_code=201)
async def create(draft: Draft, session: Transaction) -> Placed:
    """Take an order."""
    return await place(session, draft)


@app.post("/orders/asyncpg", status_code=201)
async def create_on_asyncpg(draft: Draft, session: OtherTransaction) -> Placed:
    """Take an order on another driver."""
    return await place(session, draft)


@app.post("/orders/bound", status_code=201)
async def create_bound(draft: Draft, session: BoundTransaction) -> Placed:
    """Take an order; what enqueues need not know the session."""
    order = await add_order(session, draft)
    return _charged(draft, order, await send_receipt.aenqueue(order))


@app.post("/orders/assessed", status_code=201)
async def create_assessed(draft: Draft) -> Placed:
    """Take an order, and wait for what a job says about it: after the commit, without holding a connection."""
    async with AsyncSession(engine) as session, session.begin():
        order = await add_order(session, draft)
        job = await assess.using(session).aenqueue(draft.reference)
    return Placed(order=order, job=job.id, risk=await job.aresult(timeout="10s"))


@app.post("/orders/impatient", status_code=201)
async def create_impatiently(draft: Draft, session: Transaction) -> Placed:
    """Wait for a job that no worker can see yet: refused, and the order with it."""
    order = await add_order(session, draft)
    job = await assess.using(session).aenqueue(draft.reference)
    try:
        return Placed(order=order, job=job.id, risk=await job.aresult(timeout="10s"))
    except JobNotCommitted as error:
        raise HTTPException(409, error.problem) from error


def _charged(draft: Draft, order: int, job: Job[None]) -> Placed:
    if draft.card == "stolen":
        raise CardRefused
    return Placed(order=order, job=job.id)
