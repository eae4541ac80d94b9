-- Register a worker under a new id and make its queues known.
--   parameters  worker, name, hostname, pid, version, queues, concurrency
--   result      the channel to listen on
--   rows locked queue rows of new queues
--   states      none
--   index       worker_pkey, queue_pkey
with known as (
  insert into {schema}.queue (name) select name from unnest(%(queues)s::text[]) as name order by name on conflict (name) do nothing
), registered as (
  insert into {schema}.worker (id, name, hostname, pid, version, queues, concurrency)
  values (%(worker)s::bigint, %(name)s::text, %(hostname)s::text, %(pid)s::int, %(version)s::text, %(queues)s::text[], %(concurrency)s::int)
)
select {schema}.channel() as channel
