-- Register a worker under a new id and make its queues known, if this database is where the jobs belong and takes workers
-- that speak as this one does.
--   parameters  worker, name, hostname, pid, version, queues, concurrency; protocol: a number that grows with what workers do
--   result      one row: at_home (false: a restored copy that nobody adopted), least_protocol; where either forbids it
--               nothing was written
--   rows locked queue rows of new queues
--   states      none
--   index       worker_pkey, queue_pkey
with here as materialized (
  select exists (
    select from {schema}.home h, pg_control_system() s, pg_database d
    where d.datname = current_database() and h.system_identifier = s.system_identifier and h.database_oid = d.oid::bigint
  ) as at_home, (select least_protocol from {schema}.home) as least_protocol
), welcome as (
  select from here where at_home and least_protocol <= %(protocol)s::int
), known as (
  insert into {schema}.queue (name)
  select name from welcome, unnest(%(queues)s::text[]) as name order by name on conflict (name) do nothing
), registered as (
  insert into {schema}.worker (id, name, hostname, pid, version, queues, concurrency)
  select %(worker)s::bigint, %(name)s::text, %(hostname)s::text, %(pid)s::int, %(version)s::text, %(queues)s::text[], %(concurrency)s::int
  from welcome
), remembered as (
  insert into {schema}.worker_log (id, name, hostname, pid, version, queues)
  select %(worker)s::bigint, %(name)s::text, %(hostname)s::text, %(pid)s::int, %(version)s::text, %(queues)s::text[]
  from welcome
)
select at_home, least_protocol from here
