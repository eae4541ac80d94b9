"""What is sold."""

from django.db import models


class Order(models.Model):  # type: ignore[misc]
    """An order; that its reference is the only one is checked at the commit."""

    reference = models.CharField(max_length=100)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["reference"], name="one_order", deferrable=models.Deferrable.DEFERRED),
        )


class Receipt(models.Model):  # type: ignore[misc]
    """The trace that a job leaves."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, primary_key=True)
