-- See which queues have something to claim, without taking any; one statement over all queues.
--   parameters  queues, priorities, after: parallel arrays, one element a queue and priority
--   result      queue, found (an entry stands after the cursor), paused, generation, xmax, xip
--   rows locked none
--   states      none
--   index       ready_order, queue_pkey
select level.queue,
  bool_or(entry.found is not null) as found,
  coalesce(bool_or(known.paused_at is not null), false) as paused,
  min(known.generation) as generation,
  min(pg_snapshot_xmax(now_seen)::text::bigint) as xmax,
  (select array(select xid::text::bigint from pg_snapshot_xip(pg_current_snapshot()) as xid)) as xip
from pg_current_snapshot() as now_seen,
  unnest(%(queues)s::text[], %(priorities)s::text::smallint[], %(after)s::text::bigint[]) as level(queue, priority, after)
  left join lateral (
    select true as found from {schema}.ready r
    where r.queue = level.queue and r.priority = level.priority and r.seq > level.after order by r.seq limit 1
  ) entry on true
  left join lateral (select q.paused_at, q.generation from {schema}.queue q where q.name = level.queue limit 1) known on true
group by level.queue
