"""Each view takes an order, and enqueues its receipt in the transaction that writes it."""

import json
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from .jobs import send_receipt
from .models import Order


class CardRefused(Exception):
    """The bank says no, after all was written."""


class SoldOut(Exception):
    """There is no gift left."""


def place(draft: dict[str, Any], alias: str = "default") -> HttpResponse:
    """Write an order and enqueue its receipt, in the transaction that is open."""
    order = Order.objects.using(alias).create(reference=draft["reference"])
    job = send_receipt.using(connections[alias]).enqueue(order.pk)
    if draft["card"] == "stolen":
        raise CardRefused
    return JsonResponse({"order": order.pk, "job": job.id}, status=201)


def create(request: HttpRequest) -> HttpResponse:
    """Take an order; because of ATOMIC_REQUESTS the request is the transaction."""
    return place(json.loads(request.body))


def create_explicitly(request: HttpRequest) -> HttpResponse:
    """Take an order in a transaction that the view opens."""
    with transaction.atomic():
        return place(json.loads(request.body))


def create_with_gift(request: HttpRequest) -> HttpResponse:
    """Take an order, and try a gift that is sold out: its order and its job are rolled back alone."""
    draft = json.loads(request.body)
    with transaction.atomic():
        answer = place(draft)
        with suppress(SoldOut), transaction.atomic():
            place({**draft, "reference": draft["reference"] + ", the gift"})
            raise SoldOut
    return answer


def create_in_europe(request: HttpRequest) -> HttpResponse:
    """Take an order in the other database; the job is there too."""
    with transaction.atomic(using="europe"):
        return place(json.loads(request.body), "europe")


async def create_async(request: HttpRequest) -> HttpResponse:
    """Take an order in an asynchronous view; Django's transactions are synchronous, so a thread does it."""
    return await sync_to_async(create_explicitly)(request)
