"""Run the migrations of one pgqueue schema; called by pgqueue.postgres.migrate, which sets the attributes.

``schema`` is the schema's name, ``quoted`` is the same as it stands in SQL text.
"""

from __future__ import annotations

from alembic import context

config = context.config
schema: str = config.attributes["schema"]
options = {
    "version_table": "migration",
    "version_table_schema": schema,
    "schema": schema,
    "transaction_per_migration": False,
}

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, **options)
    with context.begin_transaction():
        context.get_context().impl.static_output(f"CREATE SCHEMA IF NOT EXISTS {config.attributes['quoted']};")
        context.run_migrations()
else:
    context.configure(connection=config.attributes["connection"], **options)
    with context.begin_transaction():
        context.run_migrations()
