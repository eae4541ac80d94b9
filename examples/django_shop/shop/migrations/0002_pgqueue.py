"""The queue's tables, in each database that is migrated; so they are also in the test's."""

from django.db import migrations

from pgqueue.contrib.django import MigratePgqueue


class Migration(migrations.Migration):  # type: ignore[misc]
    """Leaves the jobs alone on the way back."""

    atomic = False
    dependencies = (("shop", "0001_initial"),)
    operations = (MigratePgqueue(),)
