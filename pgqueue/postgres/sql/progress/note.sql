-- Note how far jobs are that live under the same run.
--   parameters  jobs, runs, done (0 to 1, or null), notes: parallel arrays
--   result      none
--   rows locked job_progress (waits; only this worker writes these)
--   states      none
--   index       job_progress_pkey, job_pkey
insert into {schema}.job_progress (job_id, run, done, note)
select n.job, n.run, n.done, n.note
from unnest(%(jobs)s::text::bigint[], %(runs)s::text::int[], %(done)s::text::real[], %(notes)s::text::text[]) as n(job, run, done, note)
cross join lateral (select from {schema}.job j where j.id = n.job and j.run = n.run limit 1) live
order by n.job
on conflict (job_id) do update set (run, done, note, updated_at) = (excluded.run, excluded.done, excluded.note, clock_timestamp())
