-- Ask history about runs that finish answered "lost": an earlier flush whose answer was lost may have recorded them, or
-- their handler in its own transaction, or an operator cancelled the job while its claim was in flight. Such a cancelled run leaves its row in job_attempt.
--   parameters  id, run, ago (s), outcome, error: parallel arrays; worker
--   result      id, run of those that this worker had recorded already
--   rows locked none
--   states      none
--   index       job_history_pkey, job_attempt_pkey
with lost as materialized (
  select * from unnest(%(id)s::text::bigint[], %(run)s::text::int[], %(ago)s::text::float8[], %(outcome)s::text::text[],
                       %(error)s::text::jsonb[]) as l(id, run, ago, outcome, error)
), known as materialized (
  select lost.id, lost.run from lost cross join lateral (
    select from {schema}.job_history h
    where h.id = lost.id and h.run = lost.run and h.worker_id = %(worker)s::bigint
    union all
    select from {schema}.job_attempt a
    where a.job_id = lost.id and a.run = lost.run and a.worker_id = %(worker)s::bigint and a.outcome = lost.outcome
    limit 1
  ) recorded
), cancelled as (  -- also when an operator has brought the job back since: it then has a later run
  insert into {schema}.job_attempt (job_id, run, ended_at, started_at, worker_id, attempt, outcome, error)
  select lost.id, lost.run, now(), now() - lost.ago * interval '1 s', %(worker)s::bigint, later.attempt, lost.outcome, lost.error
  from lost cross join lateral (
    select h.attempt from {schema}.job_history h
    where h.id = lost.id and (h.run > lost.run or h.run = lost.run and h.state = 'cancelled' and h.started_at is null)
    union all
    select j.attempt from {schema}.job j where j.id = lost.id and j.run > lost.run
    limit 1
  ) later left join lateral (
    select true as seen from {schema}.job_attempt a where a.job_id = lost.id and a.run = lost.run limit 1
  ) attempted on true
  where lost.ago is not null and attempted.seen is null and (lost.id, lost.run) not in (select id, run from known)
)
select id, run from known
