-- Read how many dead rows the lanes hold.
--   parameters  schema
--   result      table, live, dead, size in bytes
--   rows locked none
--   states      none
--   index       none
select t.relname::text, t.n_live_tup, t.n_dead_tup, pg_table_size(t.relid) as size
from pg_stat_user_tables t
where t.schemaname = %(schema)s::text and t.relname in ('ready', 'scheduled', 'lease', 'job')
order by t.n_dead_tup desc
