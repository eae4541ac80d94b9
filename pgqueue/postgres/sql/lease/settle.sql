-- Ask history about runs that finish answered "lost": an earlier flush whose answer was lost may have recorded them, or an
-- operator cancelled the job while its claim was in flight. Such a cancelled run leaves its row in job_attempt.
--   parameters  id, run, ago (s), outcome, error: parallel arrays; worker
--   result      id, run of those that this worker had recorded already
--   rows locked none
--   states      none
--   index       job_history_pkey, job_attempt_pkey
with lost as materialized (
  select * from unnest(%(id)s::text::bigint[], %(run)s::text::int[], %(ago)s::text::float8[], %(outcome)s::text::text[],
                       %(error)s::text::jsonb[]) as l(id, run, ago, outcome, error)
), cancelled as (
  insert into {schema}.job_attempt (job_id, run, ended_at, started_at, worker_id, attempt, outcome, error)
  select lost.id, lost.run, now(), now() - lost.ago * interval '1 s', %(worker)s::bigint, h.attempt, lost.outcome, lost.error
  from lost cross join lateral (
    select attempt from {schema}.job_history h
    where h.id = lost.id and h.run = lost.run and h.state = 'cancelled' and h.worker_id is null limit 1
  ) h
  where lost.ago is not null
)
select lost.id, lost.run from lost cross join lateral (
  select from {schema}.job_history h where h.id = lost.id and h.run = lost.run and h.worker_id = %(worker)s::bigint
  union all
  select from {schema}.job_attempt a where a.job_id = lost.id and a.run = lost.run and a.worker_id = %(worker)s::bigint
  limit 1
) recorded
