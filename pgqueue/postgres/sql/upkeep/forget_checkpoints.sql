-- Delete what jobs kept that ended long ago: an operator may bring a dead job back, and it goes on where it was.
--   parameters  days: the retention of history
--   result      none
--   rows locked job_checkpoint
--   states      none
--   index       job_pkey
delete from {schema}.job_checkpoint c
where c.kept_at < now() - %(days)s::int * interval '1 day' and not exists (select from {schema}.job j where j.id = c.job_id)
