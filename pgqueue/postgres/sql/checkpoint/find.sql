-- Read what an earlier run of a job kept.
--   parameters  job
--   result      value; no row: nothing
--   rows locked none
--   states      none
--   index       job_checkpoint_pkey
select value from {schema}.job_checkpoint where job_id = %(job)s::bigint
