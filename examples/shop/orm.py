"""The shop's own tables, in a schema beside the queue's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, ForeignKey, MetaData, create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateSchema


class Base(DeclarativeBase):
    metadata = MetaData(schema="shop")


class SignUp(Base):
    """Somebody who registered; gets a welcome mail."""

    __tablename__ = "sign_up"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Order(Base):
    """Somebody bought something; gets a confirmation, pays, and sees a picture of it."""

    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    product: Mapped[str]
    cents: Mapped[int]


class Refusal(Base):
    """Kept by the outer transaction when a sign-up or an order was rolled back to its savepoint."""

    __tablename__ = "refusal"
    id: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]


class Payment(Base):
    """Money that the provider captured; written by the worker."""

    __tablename__ = "payment"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("shop.order.id"))
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    captured_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


def sqlalchemy_url(dsn: str) -> str:
    """Return the URL with the driver that pgqueue shares with SQLAlchemy."""
    return "postgresql+psycopg" + dsn[dsn.index("://") :]


def open_shop_tables(dsn: str) -> Engine:
    """Create the shop's tables; return the engine to use them with."""
    engine = create_engine(sqlalchemy_url(dsn))
    with engine.begin() as connection:
        connection.execute(CreateSchema("shop", if_not_exists=True))
        Base.metadata.create_all(connection)
    return engine
