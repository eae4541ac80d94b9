"""Everything that a schema holds, as text that can be compared."""

from __future__ import annotations

import psycopg

# One line an object; partitions are left out, because their names are dates.
_OBJECTS = """
with relation as (
  select c.* from pg_class c where c.relnamespace = to_regnamespace(%(schema)s)
    and not c.relispartition and c.relkind <> 'i'
)
select format('relation %%s kind %%s persistence %%s replica identity %%s', relname, relkind, relpersistence, relreplident)
  from relation
union all
select format('column %%s.%%s %%s not null %%s identity %%s default %%s',
    r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
  from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
union all
select format('index %%s', pg_get_indexdef(i.indexrelid)) from relation r join pg_index i on i.indrelid = r.oid
union all
select format('constraint %%s.%%s %%s', r.relname, k.conname, pg_get_constraintdef(k.oid))
  from relation r join pg_constraint k on k.conrelid = r.oid
union all
select format('view %%s %%s', relname, pg_get_viewdef(oid)) from relation where relkind = 'v'
union all
select format('trigger %%s', pg_get_triggerdef(t.oid))
  from relation r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
union all
select format('comment on %%s %%s: %%s', r.relname, d.objsubid, d.description)
  from relation r join pg_description d on d.objoid = r.oid and d.classoid = 'pg_class'::regclass
union all
select format('function %%s %%s', p.oid::regprocedure, pg_get_functiondef(p.oid)) from pg_proc p
  where p.pronamespace = to_regnamespace(%(schema)s)
union all
select format('type %%s', t.typname) from pg_type t
  where t.typnamespace = to_regnamespace(%(schema)s) and t.typrelid = 0 and t.typelem = 0
"""


def objects(connection: psycopg.Connection, schema: str) -> set[str]:
    """Return everything that the schema holds, but for partitions and the values of sequences."""
    return {line for (line,) in connection.execute(_OBJECTS, {"schema": f'"{schema}"'}).fetchall()}


def everything(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Return the name of everything that anybody made in this database, partitions included."""
    return set(
        connection.execute(
            """
            select catalogue, name from (
              select 'pg_class' as catalogue, oid, relnamespace as space, relname::text as name from pg_class
              union all select 'pg_proc', oid, pronamespace, oid::regprocedure::text from pg_proc
              union all select 'pg_type', oid, typnamespace, typname::text from pg_type
              union all select 'pg_namespace', oid, oid, nspname::text from pg_namespace
            ) o where oid >= 16384 and space <> all(array['pg_toast', 'pg_catalog', 'information_schema']::regnamespace[])
            """
        ).fetchall()
    )
