-- List partitions that are wholly older than the retention, oldest first; and those whose detach was interrupted.
--   parameters  schema, days
--   result      parent, partition, pending (a detach was interrupted), attached
--   rows locked none
--   states      none
--   index       none
select p.relname, c.relname, coalesce(i.inhdetachpending, false), i.inhrelid is not null
from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = %(schema)s::text
left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
where c.relkind = 'r' and c.relname ~ '^job_(history|attempt)_[0-9]{8}$'
  and to_date(right(c.relname, 8), 'YYYYMMDD') < ((now() at time zone 'UTC')::date - %(days)s::int)
order by right(c.relname, 8), c.relname
