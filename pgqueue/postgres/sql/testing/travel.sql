-- Let time go on: what waits for its time is due so much earlier, and keys run out so much earlier.
--   parameters  by (s)
--   result      jobs that are due earlier
--   rows locked job, scheduled, job_key (waits)
--   states      none: a scheduled job stays scheduled; the times of its facts and of its place move together
--   index       job_pkey
with waiting as materialized (
  select j.id, j.run, s.ctid as place
  from {schema}.scheduled s join {schema}.job j on j.id = s.job_id and j.run = s.run
  order by j.id for update
), placed as (
  update {schema}.scheduled s set due_at = s.due_at - %(by)s::float8 * interval '1 s'
  from waiting w where s.ctid = w.place
  returning s.queue, s.due_at
), known as (
  update {schema}.job j
  set run_at = j.run_at - %(by)s::float8 * interval '1 s', enqueued_at = j.enqueued_at - %(by)s::float8 * interval '1 s',
    deadline = j.deadline - %(by)s::float8 * interval '1 s', expires_at = j.expires_at - %(by)s::float8 * interval '1 s'
  from waiting w where j.id = w.id and j.run = w.run
  returning j.id
), kept as (
  update {schema}.job_key k set until = k.until - %(by)s::float8 * interval '1 s' where k.until < 'infinity'
), told as materialized (
  select count({schema}.wake(q.queue, q.due_at)) as queues
  from (select queue, min(due_at) as due_at from placed group by queue) q
)
select (select count(*)::int from known) as jobs from told
