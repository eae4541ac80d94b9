"""The queue's tables, in each database that is migrated; so they are also in the test's."""

from typing import Any

from django.db import migrations

from pgqueue import PgQueue

from ..dsn import dsn_of


def migrate(apps: Any, editor: Any) -> None:
    """Do what ``pgqueue migrate`` does."""
    PgQueue(dsn_of(editor.connection.alias)).migrate()


class Migration(migrations.Migration):  # type: ignore[misc]
    """Leaves the jobs alone on the way back."""

    atomic = False
    dependencies = (("shop", "0001_initial"),)
    operations = (migrations.RunPython(migrate, migrations.RunPython.noop),)
