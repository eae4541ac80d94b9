"""The jobs of the shop."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from pgqueue import PgQueue
from pgqueue.contrib.django import database

from .models import Receipt

DATABASE = os.environ.get("SHOP_DATABASE", "default")  # each database has workers of its own
pgq = PgQueue(database(DATABASE))


@contextmanager
def like_a_request() -> Iterator[None]:
    """Close Django's connections that broke or grew old, as Django does before and after a request."""
    _close_old_connections()
    try:
        yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # a test calls the handler in its own transaction
            connection.close_if_unusable_or_obsolete()


@pgq.task(name="shop.send_receipt", queue="email")
@like_a_request()
def send_receipt(order_id: int) -> None:
    """Write the receipt; twice is as good as once."""
    Receipt.objects.using(DATABASE).get_or_create(order_id=order_id)
