-- Delete silent workers and hand back the jobs of every lease whose worker is gone. Each becomes a suspect. One whose start
-- was recorded may have killed its worker: that is a crash of its own, and the last one that is allowed ends it as dead,
-- unless others were beside it by then.
--   parameters  ids, beats: the silent workers and the beat at which each stopped; limit: leases a call; strikes: crashes
--               that end a job; error: JSON of type and message for those
--   result      one row: workers deleted, leases taken, jobs handed back, ended: JSON of {job, run, task, queue}
--   rows locked worker, lease, job, job_key, SKIP LOCKED: never waits; a lease of which a job was locked stays for the next sweep
--   states      running -> ready, without an attempt; running -> dead
--   index       worker_pkey, job_pkey, job_key_job
with silent as (
  delete from {schema}.worker where ctid = any(array(
    select w.ctid from unnest(%(ids)s::text::bigint[], %(beats)s::text::bigint[]) as s(id, beat)
    join {schema}.worker w on w.id = s.id and w.beat = s.beat for update of w skip locked))
  returning id
), forgotten as (
  delete from {schema}.worker_idle where worker_id in (select id from silent)
), orphaned as materialized (
  select l.ctid as place, l.* from {schema}.lease l
  where not exists (select from {schema}.worker w where w.id = l.worker_id)
    or l.worker_id = any(array(select id from silent))
  limit %(limit)s::int for update skip locked
), held as materialized (
  select o.id as lease_id, o.worker_id, o.claimed_at, x.id, x.run, job.place, job.has_key,
    least(job.crashes + (job.crashes = 0 or tried.started or tried.pardoned)::int, 32767) as crashes,
    tried.started and job.crashes + 1 >= %(strikes)s::int as ends
  from orphaned o cross join lateral unnest(o.job_ids, o.runs) as x(id, run)
  cross join lateral (
    select ctid as place, crashes, has_key from {schema}.job j where j.id = x.id and j.run = x.run limit 1 for update skip locked
  ) job
  cross join lateral (
    select coalesce(x.id = any(o.started), false) as started, coalesce(-x.id = any(o.started), false) as pardoned
  ) tried
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
    expires_at, group_key, schedule, tick, error)
  select e.id, now(), e.run_at, e.enqueued_at, k.claimed_at, k.worker_id, e.run, e.timeout_ms, e.max_retries, e.attempt,
    k.crashes, e.priority, e.has_key, 'dead', e.queue, e.task, e.args, e.body, e.codec, e.headers, e.tags, e.metadata, e.retry,
    e.deadline, e.expires_at, e.group_key, e.schedule, e.tick, %(error)s::text::jsonb
  from keyed k join ended e on e.id = k.id
), freed as (
  delete from {schema}.job_key where ctid = any(array(select key_place from keyed where key_place is not null and not key_locked))
), returned as (
  update {schema}.job j set run = j.run + 1, crashes = k.crashes, run_at = clock_timestamp()
  from keyed k where j.ctid = k.place and not k.ends
  returning j.id, j.queue, j.priority, j.run, j.attempt, k.worker_id, k.claimed_at
), attempted as (
  insert into {schema}.job_attempt (job_id, run, ended_at, started_at, worker_id, attempt, outcome)
  select id, run - 1, now(), claimed_at, worker_id, attempt, 'rescued' from returned
), now_ready as (
  insert into {schema}.ready (queue, priority, job_id, run) select queue, priority, id, run from returned
), moved as (
  update {schema}.queue set generation = generation + 1 where name in (select queue from returned)
), told as materialized (
  select count({schema}.wake(queue, clock_timestamp())) as queues from (select distinct queue from returned) q
), locked as materialized (
  select x.lease_id from (
    select o.id as lease_id, y.id, y.run from orphaned o cross join lateral unnest(o.job_ids, o.runs) as y(id, run)
  ) x left join keyed on keyed.id = x.id and keyed.run = x.run
  cross join lateral (select from {schema}.job j where j.id = x.id and j.run = x.run limit 1) live
  where keyed.id is null or keyed.key_locked
), emptied as (
  delete from {schema}.lease where ctid = any(array(
    select place from orphaned where id <> all(array(select lease_id from locked))))
)
select (select count(*)::int from silent) as workers, (select count(*)::int from orphaned) as leases,
  (select count(*)::int from returned) as jobs,
  (select coalesce(jsonb_agg(jsonb_build_object('job', id, 'run', run, 'task', task, 'queue', queue)), '[]') from ended) as ended
from told
