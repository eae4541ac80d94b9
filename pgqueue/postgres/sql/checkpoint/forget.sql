-- Delete what jobs kept that have succeeded; of one that lives it is somebody else's.
--   parameters  jobs
--   result      none
--   rows locked job_checkpoint
--   states      none
--   index       job_checkpoint_pkey, job_pkey
delete from {schema}.job_checkpoint c
where c.job_id = any(%(jobs)s::text::bigint[]) and not exists (select from {schema}.job j where j.id = c.job_id)
