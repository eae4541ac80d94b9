-- Say that the worker sleeps on these queues and wants to be notified.
--   parameters  worker, queues, nap (s): it looks by itself at least this often
--   result      none
--   rows locked the worker's own rows
--   states      none
--   index       worker_idle_pkey
insert into {schema}.worker_idle (queue, worker_id, nap)
select queue, %(worker)s::bigint, %(nap)s::float8 * interval '1 s' from unnest(%(queues)s::text[]) as queue
where exists (select from {schema}.worker w where w.id = %(worker)s::bigint) order by queue
on conflict (queue, worker_id) do nothing
