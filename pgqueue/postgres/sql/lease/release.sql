-- Hand back the jobs of leases that their worker does not know: claims whose answer was lost.
--   parameters  worker; leases
--   result      jobs handed back
--   rows locked lease, job, SKIP LOCKED: never waits; a lease of which a job was locked stays
--   states      running -> ready, without an attempt
--   index       lease_pkey, job_pkey
with unknown as materialized (
  select ctid as place, id, job_ids, runs from {schema}.lease
  where id = any(%(leases)s::text::bigint[]) and worker_id = %(worker)s::bigint for update skip locked
), held as materialized (
  select u.id as lease_id, x.id, x.run, job.place
  from unknown u cross join lateral unnest(u.job_ids, u.runs) as x(id, run)
  cross join lateral (select ctid as place from {schema}.job j where j.id = x.id and j.run = x.run limit 1 for update skip locked) job
), returned as (
  update {schema}.job j set run = j.run + 1, run_at = clock_timestamp() from held where j.ctid = held.place
  returning j.id, j.queue, j.priority, j.run
), now_ready as (
  insert into {schema}.ready (queue, priority, job_id, run) select queue, priority, id, run from returned
), told as materialized (
  select count({schema}.wake(queue, clock_timestamp())) as queues from (select distinct queue from returned) q
), locked as materialized (
  select x.lease_id from (
    select u.id as lease_id, y.id, y.run from unknown u cross join lateral unnest(u.job_ids, u.runs) as y(id, run)
  ) x left join held on held.id = x.id and held.run = x.run
  cross join lateral (select from {schema}.job j where j.id = x.id and j.run = x.run limit 1) live
  where held.id is null
), emptied as (
  delete from {schema}.lease where ctid = any(array(
    select place from unknown where id <> all(array(select lease_id from locked))))
)
select (select count(*)::int from returned) as jobs from told
