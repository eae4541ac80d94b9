"""How a Django project tests that it enqueues: ``python manage.py test``."""

from django.db import connection
from django.test import TestCase

from pgqueue.testing import Jobs

from .jobs import pgq, send_receipt
from .models import Order, Receipt


class OrderTests(TestCase):  # type: ignore[misc]
    """Each test is one transaction that Django rolls back; its jobs go with it."""

    def order(self, **changes: str) -> int:
        """Post an order and return the status of the answer."""
        self.client.raise_request_exception = False
        draft = {"reference": "test", "card": "4242", **changes}
        return int(self.client.post("/orders", draft, content_type="application/json").status_code)

    def test_an_order_enqueues_its_receipt(self) -> None:
        assert self.order() == 201
        Jobs(pgq).on(connection).assert_enqueued(send_receipt, count=1, order_id=Order.objects.get().pk)

    def test_a_refused_card_enqueues_nothing(self) -> None:
        assert self.order(card="stolen") == 500
        Jobs(pgq).on(connection).refute_enqueued(send_receipt)
        assert not Order.objects.exists()

    def test_the_receipt_is_written(self) -> None:
        order = Order.objects.create(reference="test")
        send_receipt(order.pk)
        assert Receipt.objects.filter(order=order).exists()
