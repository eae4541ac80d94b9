-- Free the keys that are held until their jobs start, of jobs that were just claimed and that no handler has seen yet.
--   parameters  ids
--   result      none
--   rows locked job_key, SKIP LOCKED: never waits; what an enqueue holds at this moment is freed when the job ends
--   states      none
--   index       job_key_job
delete from {schema}.job_key where ctid = any(array(
  select k.ctid from unnest(%(ids)s::text::bigint[]) as w(id)
  cross join lateral (
    select ctid from {schema}.job_key k where k.job_id = w.id and k.scope = 'started' limit 1 for update skip locked
  ) k))
