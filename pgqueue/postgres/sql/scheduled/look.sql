-- See which queues have due jobs and when the next ones are due; one statement over all queues.
--   parameters  queues, due_ats, job_ids: parallel arrays, the cursors
--   result      queue, seconds until the next job is due (0 or less: due; null: none), server time in seconds, xmax, xip
--   rows locked none
--   states      none
--   index       scheduled_order
select cursor.queue, extract(epoch from next.due_at - statement_timestamp())::float8 as due_in,
  extract(epoch from statement_timestamp())::float8 as server_time,
  pg_snapshot_xmax(now_seen)::text::bigint as xmax,
  (select array(select xid::text::bigint from pg_snapshot_xip(pg_current_snapshot()) as xid)) as xip
from pg_current_snapshot() as now_seen,
  unnest(%(queues)s::text[], %(due_ats)s::text::timestamptz[], %(job_ids)s::text::bigint[]) as cursor(queue, due_at, job_id)
  left join lateral (
    select s.due_at from {schema}.scheduled s
    where s.queue = cursor.queue and (s.due_at, s.job_id) > (cursor.due_at, cursor.job_id)
    order by s.due_at, s.job_id limit 1
  ) next on true
