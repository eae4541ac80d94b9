-- Keep where a later run of a job may go on, if the job is still this run's.
--   parameters  job, run, lease, worker; value: JSON
--   result      true; no row: the job is not this run's any more
--   rows locked job_checkpoint (waits)
--   states      none
--   index       job_pkey, lease_pkey, job_checkpoint_pkey
insert into {schema}.job_checkpoint (job_id, run, value)
select j.id, j.run, %(value)s::text::jsonb from {schema}.job j
where j.id = %(job)s::bigint and j.run = %(run)s::int
  and exists (select from {schema}.lease l where l.id = %(lease)s::bigint and l.worker_id = %(worker)s::bigint)
on conflict (job_id) do update set (run, value, kept_at) = (excluded.run, excluded.value, clock_timestamp())
where job_checkpoint.run <= excluded.run
returning true as kept
