-- Delete what jobs kept that ended long ago, or have succeeded and did not say so: an operator may bring a dead job back,
-- and it goes on where it was.
--   parameters  days: the retention of history
--   result      none
--   rows locked job_checkpoint
--   states      none
--   index       job_pkey, job_history_pkey
delete from {schema}.job_checkpoint c
where not exists (select from {schema}.job j where j.id = c.job_id)
  and (c.kept_at < now() - %(days)s::int * interval '1 day'
    or exists (select from {schema}.job_history h where h.id = c.job_id and h.state = 'succeeded'))
