-- Delete what jobs kept that have succeeded.
--   parameters  jobs
--   result      none
--   rows locked job_checkpoint
--   states      none
--   index       job_checkpoint_pkey
delete from {schema}.job_checkpoint where job_id = any(%(jobs)s::text::bigint[])
