-- Tell the sleeping workers of queues to which jobs were copied; the caller's snapshot is newer than the jobs.
--   parameters  queues
--   result      none
--   rows locked none
--   states      none
--   index       worker_idle_pkey
select count({schema}.wake(queue, clock_timestamp())) from unnest(%(queues)s::text::text[]) as queue
