-- Beat: say that the worker lives. Never brings a deleted row back.
--   parameters  worker
--   result      one row: alive, the worker's leases, (id, run) of its jobs that were signalled to cancel
--   rows locked the worker's own row
--   states      none
--   index       worker_pkey, job_signal_job
with beaten as (
  update {schema}.worker set beat = beat + 1, beat_at = clock_timestamp() where id = %(worker)s::bigint returning id
), mine as materialized (
  select id, job_ids, runs from {schema}.lease where worker_id = %(worker)s::bigint
)
select exists (select from beaten) as alive,
  array(select id from mine) as leases,
  array(select array[x.id, x.run] from mine cross join lateral unnest(mine.job_ids, mine.runs) as x(id, run)
        join {schema}.job_signal s on s.job_id = x.id and s.run = x.run and s.kind = 'cancel') as cancelled
