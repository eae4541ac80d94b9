"""A small shop on Flask and SQLAlchemy; docs/frameworks.md explains it.

DATABASE_URL=... pgqueue migrate
DATABASE_URL=... flask --app examples.flask_shop run
DATABASE_URL=... pgqueue worker examples.flask_shop:pgq
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from sqlalchemy import ForeignKey, UniqueConstraint, create_engine, insert, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from pgqueue import Job, PgQueue

pgq = PgQueue()
engine = create_engine(make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg"))
new_session = sessionmaker(engine)
app = Flask(__name__)
bound = Blueprint("bound", __name__, url_prefix="/bound")


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


class CardRefused(Exception):
    """The bank says no, after all was written."""


@pgq.task(name="shop.send_receipt", queue="email")
def send_receipt(order_id: int) -> None:
    """Write the receipt; twice is as good as once."""
    with new_session.begin() as session:
        session.execute(postgresql.insert(Receipt).values(order_id=order_id).on_conflict_do_nothing())


@app.post("/orders")
def create() -> tuple[Response, int]:
    """Take an order; the session's transaction ends before the answer is sent."""
    with new_session.begin() as session:
        order = add_order(session)
        job = send_receipt.using(session).enqueue(order)
        return _charged(order, job)


def in_transaction(view: Callable[[Session], Any]) -> Callable[[], Any]:
    """Give a view its session; all that is enqueued meanwhile belongs to its transaction."""

    @wraps(view)
    def run() -> Any:
        with new_session.begin() as session, pgq.bind(session):
            return view(session)

    return run


@bound.post("/orders")
@in_transaction
def create_bound(session: Session) -> tuple[Response, int]:
    """Take an order; what enqueues need not know the session."""
    order = add_order(session)
    return _charged(order, send_receipt.enqueue(order))


@app.post("/receipts/<int:order>")
def send_again(order: int) -> tuple[Response, int]:
    """Enqueue alone, on a connection of pgqueue's own."""
    return jsonify(job=send_receipt.enqueue(order).id), 202


def add_order(session: Session) -> int:
    """Write an order and return its id."""
    reference = request.get_json()["reference"]
    return session.execute(insert(Order).values(reference=reference).returning(Order.id)).scalar_one()


def _charged(order: int, job: Job[None]) -> tuple[Response, int]:
    if request.get_json()["card"] == "stolen":
        raise CardRefused
    return jsonify(order=order, job=job.id), 201


app.register_blueprint(bound)


@app.cli.command("create-tables")
def create_tables() -> None:
    """Make the shop's tables."""
    Base.metadata.create_all(engine)
