-- See whether this role may write the tables themselves; one that may only enqueue has its jobs written by the function.
--   parameters  schema
--   result      allowed
--   rows locked none
--   states      none
--   index       none
select coalesce(bool_and(has_table_privilege(c.oid, 'insert')), false)
  and coalesce(bool_and(has_sequence_privilege(s.oid, 'usage')), false) as allowed
from pg_class c, pg_class s
where c.relname in ('job', 'ready') and s.relname in ('job_id_seq', 'ready_seq') and s.relnamespace = c.relnamespace
  and c.relnamespace = (select n.oid from pg_namespace n where n.nspname = %(schema)s::text)
