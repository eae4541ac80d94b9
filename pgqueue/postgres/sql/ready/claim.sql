-- Take jobs of one queue, highest priority first, each priority in order of seq after its cursor.
--   parameters  queue; priorities, after: parallel arrays, highest first; limit; worker; lease: a new random id
--   result      first row: taken (entries, whether or not their jobs live), last (priority, seq)[], xmax, xip, own xid,
--               generation, allowed (the queue is not paused, the worker is known), timed (a job expires or has a deadline);
--               then one row a job, in order; expires_in and deadline_in in seconds from now
--   rows locked ready, SKIP LOCKED: never waits
--   states      ready -> running
--   index       ready_order, job_pkey
with gate as materialized (
  select not exists (select from {schema}.queue where name = %(queue)s::text and paused_at is not null)
     and exists (select from {schema}.worker where id = %(worker)s::bigint) as allowed
), picked as materialized (  -- lazy: a lower priority is read only when the higher ones did not fill the limit
  select entry.place
  from unnest(%(priorities)s::text::smallint[], %(after)s::text::bigint[]) as level(priority, after)
  cross join lateral (
    select ctid as place from {schema}.ready
    where queue = %(queue)s::text and priority = level.priority and seq > level.after
    order by seq limit %(limit)s::int for update skip locked
  ) entry
  where (select allowed from gate)
  limit %(limit)s::int
), taken as (
  delete from {schema}.ready where ctid = any(array(select place from picked))
  returning priority, seq, job_id, run
), jobs as materialized (  -- an entry whose job was cancelled, retried or replaced vanishes here
  select taken.priority, taken.seq, job.id, job.run, job.attempt, job.crashes, job.max_retries, job.timeout_ms,
    job.task, coalesce(job.args::text, job.codec || ':' || encode(job.body, 'base64')) as payload, job.headers, job.tags,
    job.enqueued_at, job.has_key, extract(epoch from job.expires_at - statement_timestamp())::float8 as expires_in,
    extract(epoch from job.deadline - statement_timestamp())::float8 as deadline_in
  from taken cross join lateral (select * from {schema}.job j where j.id = taken.job_id and j.run = taken.run limit 1) job
), leased as (
  insert into {schema}.lease (id, worker_id, job_ids, runs)
  select %(lease)s::bigint, %(worker)s::bigint, array_agg(id), array_agg(run) from jobs having count(*) > 0
), walked as (
  select priority, max(seq) as seq, count(*) as entries from taken group by priority
)
select (select coalesce(sum(entries), 0)::int from walked) as taken,
  (select coalesce(array_agg(array[priority, seq]), '{}') from walked) as last,
  pg_snapshot_xmax(now_seen)::text::bigint as xmax,
  array(select xid::text::bigint from pg_snapshot_xip(now_seen) as xid) as xip,
  pg_current_xact_id_if_assigned()::text::bigint as own,  -- after "taken": before the delete it is still null
  (select generation from {schema}.queue where name = %(queue)s::text) as generation,
  (select allowed from gate) as allowed, (select bool_or(expires_in is not null or deadline_in is not null) from jobs) as timed,
  null::bigint as id, null::int as run, null::smallint as attempt, null::smallint as crashes, null::smallint as max_retries,
  null::int as timeout_ms, null::text as task, null::text as payload, null::jsonb as headers, null::text[] as tags,
  null::timestamptz as enqueued_at, null::boolean as has_key, null::float8 as expires_in, null::float8 as deadline_in
from pg_current_snapshot() as now_seen
union all
select null, null, null, null, null, null, null, null, id, run, attempt, crashes, max_retries, timeout_ms, task, payload, headers, tags,
  enqueued_at, has_key, expires_in, deadline_in
from (select * from jobs order by priority desc, seq) as in_order
