-- List the days of history that have no partition.
--   parameters  ahead: days from today
--   result      table, day, in how many days
--   rows locked none
--   states      none
--   index       none
select parent.name, day::date::text, (day::date - today)::int as ahead
from (select (clock_timestamp() at time zone 'UTC')::date as today) now_seen,
  (values ('job_history', '{schema}.job_history'::regclass), ('job_attempt', '{schema}.job_attempt'::regclass)) as parent(name, id),
  generate_series(today, today + %(ahead)s::int, interval '1 day') as day
where not exists (
  select from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = parent.id and not i.inhdetachpending and c.relname = parent.name || '_' || to_char(day, 'YYYYMMDD')
)
order by day, parent.name
