-- Move due jobs of one queue to ready, in order of due_at, after the cursor, and tell sleeping workers.
--   parameters  queue; due_at, job_id: the cursor; limit
--   result      taken (entries), last due_at and job_id, xmax, xip, own xid, server time in seconds
--   rows locked scheduled, SKIP LOCKED: never waits
--   states      scheduled -> ready
--   index       scheduled_order (statement_timestamp() is an index condition, clock_timestamp() is not), job_pkey
with picked as materialized (
  select ctid as place from {schema}.scheduled
  where queue = %(queue)s::text and (due_at, job_id) > (%(due_at)s::timestamptz, %(job_id)s::bigint)
    and due_at <= statement_timestamp()
  order by due_at, job_id limit %(limit)s::int for update skip locked
), taken as (
  delete from {schema}.scheduled where ctid = any(array(select place from picked)) returning due_at, job_id, run
), due as materialized (
  select job.queue, job.priority, job.id, job.run
  from taken cross join lateral (select * from {schema}.job j where j.id = taken.job_id and j.run = taken.run limit 1) job
  order by taken.due_at, taken.job_id
), moved as (
  insert into {schema}.ready (queue, priority, job_id, run) select queue, priority, id, run from due returning queue
), told as materialized (
  select count({schema}.wake(queue, statement_timestamp())) as queues from (select distinct queue from moved) q
), last as (
  select due_at, job_id from taken order by due_at desc, job_id desc limit 1
)
select (select count(*)::int from taken) as taken,
  (select due_at from last) as last_due_at, (select job_id from last) as last_job_id,
  pg_snapshot_xmax(now_seen)::text::bigint as xmax,
  array(select xid::text::bigint from pg_snapshot_xip(now_seen) as xid) as xip,
  pg_current_xact_id_if_assigned()::text::bigint as own,
  extract(epoch from statement_timestamp())::float8 as server_time
from told, pg_current_snapshot() as now_seen
