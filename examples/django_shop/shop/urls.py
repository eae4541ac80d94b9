"""Where orders are taken."""

from django.db.transaction import non_atomic_requests
from django.urls import path
from django.views.decorators.http import require_POST

from . import views

urlpatterns = [
    path("orders", require_POST(views.create)),
    path("orders/explicit", require_POST(non_atomic_requests(views.create_explicitly))),
    path("orders/gift", require_POST(non_atomic_requests(views.create_with_gift))),
    path("orders/europe", require_POST(non_atomic_requests(views.create_in_europe))),
    path("orders/async", require_POST(non_atomic_requests(views.create_async))),
]
