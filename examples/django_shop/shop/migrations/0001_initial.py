"""The shop's tables."""

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]
    """Makes them."""

    initial = True
    operations = (
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.CharField(max_length=100)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("reference",), name="one_order", deferrable=models.Deferrable.DEFERRED
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                (
                    "order",
                    models.OneToOneField(on_delete=models.CASCADE, primary_key=True, serialize=False, to="shop.order"),
                ),
            ],
        ),
    )
