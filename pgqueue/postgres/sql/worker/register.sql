-- Register a worker under a new id and make its queues known, if this database is where the jobs belong.
--   parameters  worker, name, hostname, pid, version, queues, concurrency
--   result      one row: at_home (false: a restored copy that nobody adopted; nothing was written)
--   rows locked queue rows of new queues
--   states      none
--   index       worker_pkey, queue_pkey
with here as materialized (
  select exists (
    select from {schema}.home h, pg_control_system() s, pg_database d
    where d.datname = current_database() and h.system_identifier = s.system_identifier and h.database_oid = d.oid::bigint
  ) as at_home
), known as (
  insert into {schema}.queue (name)
  select name from here, unnest(%(queues)s::text[]) as name where at_home order by name on conflict (name) do nothing
), registered as (
  insert into {schema}.worker (id, name, hostname, pid, version, queues, concurrency)
  select %(worker)s::bigint, %(name)s::text, %(hostname)s::text, %(pid)s::int, %(version)s::text, %(queues)s::text[], %(concurrency)s::int
  from here where at_home
), remembered as (
  insert into {schema}.worker_log (id, name, hostname, pid, version, queues)
  select %(worker)s::bigint, %(name)s::text, %(hostname)s::text, %(pid)s::int, %(version)s::text, %(queues)s::text[]
  from here where at_home
)
select at_home from here
