"""The shop's tasks. ``pgqueue worker examples.shop.tasks:pgq`` runs them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from examples.shop.mail import PostOffice
from examples.shop.orm import Payment, sqlalchemy_url
from examples.shop.payments import charge
from examples.shop.pictures import resize_picture, small_name
from pgqueue import JobContext, PgQueue, RetryPolicy

SMTP_PORT = "SHOP_SMTP_PORT"
PICTURES = "SHOP_PICTURES"


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers need, made once in each worker."""

    post_office: PostOffice
    pictures: Path
    engine: AsyncEngine


def open_services() -> Services:
    """Read the environment that the demonstration gives to its workers."""
    return Services(
        PostOffice(int(os.environ[SMTP_PORT])),
        Path(os.environ[PICTURES]),
        create_async_engine(sqlalchemy_url(os.environ["PGQUEUE_DSN"]), poolclass=NullPool),
    )


pgq = PgQueue(schema="pgqueue", deps=open_services)
soon = RetryPolicy(max_retries=6, delays=["500ms", "1s", "2s"])


@pgq.task(name="shop.welcome", queue="mail", retry=soon, timeout="20s", context=True)
def welcome(ctx: JobContext[Services], number: int, email: str) -> None:
    """Send the welcome mail of a sign-up."""
    ctx.deps.post_office.send("welcome", number, email, "It is good to have you.\n", job_id=ctx.id)


@pgq.task(name="shop.confirmation", queue="mail", priority=5, retry=soon, timeout="20s", context=True)
def confirmation(ctx: JobContext[Services], number: int, email: str, product: str) -> None:
    """Send the confirmation of an order; it goes before welcome mails."""
    ctx.deps.post_office.send("confirmation", number, email, f"Your {product} is on its way.\n", job_id=ctx.id)


@pgq.task(name="shop.resize", queue="pictures", retry=soon, timeout="20s", context=True)
def resize(ctx: JobContext[Services], order: int, product: str, width: int) -> None:
    """Make one size of the picture for an order, in a thread."""
    folder = ctx.deps.pictures
    resize_picture(folder / f"{product}.jpg", folder / small_name(order, width), width)


@pgq.task(name="shop.capture", queue="payments", retry=soon, timeout="20s", context=True)
async def capture(ctx: JobContext[Services], order: int) -> None:
    """Take the money for an order, once, however often this runs."""
    await charge(order, ctx.attempt)
    paid = insert(Payment).values(order_id=order, idempotency_key=f"job-{ctx.id}")
    async with ctx.deps.engine.begin() as connection:
        await connection.execute(paid.on_conflict_do_nothing())


@pgq.task(
    name="shop.tax_report",
    queue="payments",
    retry=RetryPolicy(max_retries=2, delays=["500ms", "1s"]),
    timeout="20s",
)
async def tax_report(year: int) -> None:
    """Report to an office that never answers: this job ends dead."""
    raise ConnectionError(f"the tax office does not accept the report of {year}")
