-- Delete silent workers and hand back the jobs of every lease whose worker is gone.
--   parameters  ids, beats: the silent workers and the beat at which each stopped; limit: leases a call
--   result      one row: workers deleted, leases taken, jobs handed back
--   rows locked worker, lease, job, SKIP LOCKED: never waits; a lease of which a job was locked stays for the next sweep
--   states      running -> ready, crashes + 1, no attempt
--   index       worker_pkey, job_pkey
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
  select o.id as lease_id, o.worker_id, o.claimed_at, x.id, x.run, job.place
  from orphaned o cross join lateral unnest(o.job_ids, o.runs) as x(id, run)
  cross join lateral (select ctid as place from {schema}.job j where j.id = x.id and j.run = x.run limit 1 for update skip locked) job
), returned as (
  update {schema}.job j set run = j.run + 1, crashes = least(j.crashes + 1, 32767), run_at = clock_timestamp()
  from held where j.ctid = held.place
  returning j.id, j.queue, j.priority, j.run, j.attempt, held.worker_id, held.claimed_at
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
  ) x left join held on held.id = x.id and held.run = x.run
  cross join lateral (select from {schema}.job j where j.id = x.id and j.run = x.run limit 1) live
  where held.id is null
), emptied as (
  delete from {schema}.lease where ctid = any(array(
    select place from orphaned where id <> all(array(select lease_id from locked))))
)
select (select count(*)::int from silent) as workers, (select count(*)::int from orphaned) as leases,
  (select count(*)::int from returned) as jobs
from told
