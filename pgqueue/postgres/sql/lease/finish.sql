-- Record the outcomes of runs, a mixed batch in one statement. A run counts only while its job still has that run and its
-- lease still belongs to this worker.
--   parameters  id, run, lease, outcome, delay (s), ago (s since the handler was called; null: never), error, result:
--               parallel arrays; worker; empty: leases all of whose jobs were answered done or lost in an EARLIER flush
--               outcome: succeeded | dead | poison (dead, and a crash) | cancelled | expired end the job; retry (uses an
--               attempt), crashed (a retry, and a crash), snooze, release do not
--   result      one row: done (how many), others (id, run, 1 if locked)[]: locked are to be tried again in the next flush,
--               the rest are lost: the run is not this worker's any more
--   rows locked job, job_key, lease, SKIP LOCKED: never waits
--   states      running -> succeeded | dead | cancelled | expired; running -> ready | scheduled
--   index       job_pkey, job_key_job, lease_pkey
with outcome as materialized (
  select * from unnest(%(id)s::text::bigint[], %(run)s::text::int[], %(lease)s::text::bigint[], %(outcome)s::text::text[],
                       %(delay)s::text::float8[], %(ago)s::text::float8[], %(error)s::text::jsonb[], %(result)s::text::jsonb[])
    as o(id, run, lease_id, outcome, delay, ago, error, result)
), mine as materialized (
  select id from {schema}.lease where id = any(%(lease)s::text::bigint[]) and worker_id = %(worker)s::bigint
), held as materialized (
  select o.*, o.outcome in ('succeeded', 'dead', 'poison', 'cancelled', 'expired') as ends, job.place, job.has_key
  from outcome o cross join lateral (
    select ctid as place, has_key from {schema}.job j where j.id = o.id and j.run = o.run limit 1 for update skip locked
  ) job
  where o.lease_id = any(array(select id from mine))
), keyed as materialized (  -- a key row that an open enqueue holds is not waited for
  select held.*, free.place as key_place, free.place is null and taken.held is not null as key_locked
  from held left join lateral (
    select ctid as place from {schema}.job_key k where held.has_key and held.ends and k.scope in ('started', 'finished')
      and k.job_id = held.id limit 1 for update skip locked
  ) free on true left join lateral (
    select true as held from {schema}.job_key k where held.has_key and held.ends and k.scope in ('started', 'finished')
      and k.job_id = held.id limit 1
  ) taken on true
), ended as (
  delete from {schema}.job where ctid = any(array(select place from keyed where ends and not key_locked)) returning *
), kept as (
  insert into {schema}.job_history (id, finished_at, run_at, enqueued_at, started_at, worker_id, run, timeout_ms, max_retries,
    attempt, crashes, priority, has_key, state, queue, task, args, body, codec, headers, tags, metadata, retry, deadline,
    expires_at, group_key, schedule, tick, error, result)
  select e.id, now(), e.run_at, e.enqueued_at, now() - k.ago * interval '1 s', %(worker)s::bigint, e.run,
    e.timeout_ms, e.max_retries, e.attempt + (k.ago is not null)::int, e.crashes + (k.outcome = 'poison')::int, e.priority, e.has_key,
    case k.outcome when 'poison' then 'dead' else k.outcome end, e.queue,
    e.task, e.args, e.body, e.codec, e.headers, e.tags, e.metadata, e.retry, e.deadline, e.expires_at, e.group_key,
    e.schedule, e.tick, k.error, k.result
  from keyed k join ended e on e.id = k.id
), freed as (
  delete from {schema}.job_key where ctid = any(array(select key_place from keyed where key_place is not null and not key_locked))
), returned as (
  update {schema}.job j
  set run = j.run + 1, attempt = j.attempt + (k.outcome in ('retry', 'crashed'))::int, crashes = j.crashes + (k.outcome = 'crashed')::int,
    run_at = clock_timestamp() + k.delay * interval '1 s'
  from keyed k where j.ctid = k.place and not k.ends
  returning j.id, j.queue, j.priority, j.run, j.attempt, j.run_at, j.run_at <= clock_timestamp() as due, k.outcome, k.ago, k.error
), attempted as (  -- a run that was never started is no attempt and leaves no row
  insert into {schema}.job_attempt (job_id, run, ended_at, started_at, worker_id, attempt, outcome, error)
  select id, run - 1, now(), now() - ago * interval '1 s', %(worker)s::bigint, attempt, outcome, error
  from returned where ago is not null
), now_ready as (
  insert into {schema}.ready (queue, priority, job_id, run) select queue, priority, id, run from returned where due
), later as (
  insert into {schema}.scheduled (queue, due_at, job_id, run) select queue, run_at, id, run from returned where not due
), told as materialized (
  select count({schema}.wake(q.queue, q.due_at)) as queues
  from (select queue, min(run_at) as due_at from returned group by queue) q
), emptied as (
  delete from {schema}.lease where ctid = any(array(
    select ctid from {schema}.lease where id = any(%(empty)s::text::bigint[]) and worker_id = %(worker)s::bigint
    for update skip locked))
), others as (
  select array[o.id, o.run, coalesce(live.held, 0)] as other
  from outcome o left join (select id, run from ended union all select id, run - 1 from returned) done on done.id = o.id and done.run = o.run
  left join lateral (
    select 1 as held from {schema}.job j
    where j.id = o.id and j.run = o.run and o.lease_id = any(array(select id from mine)) limit 1
  ) live on true
  where done.id is null
)
select counted.done,
  case when counted.done < counted.outcomes then (select array_agg(other) from others) else '{}' end::bigint[] as others
from told, (
  select (select count(*)::int from ended) + (select count(*)::int from returned) as done,
    (select count(*)::int from outcome) as outcomes
) counted
