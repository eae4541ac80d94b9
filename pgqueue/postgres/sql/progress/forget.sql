-- Delete the progress of jobs that are no more.
--   parameters  none
--   result      none
--   rows locked job_progress
--   states      none
--   index       job_pkey
delete from {schema}.job_progress p where not exists (select from {schema}.job j where j.id = p.job_id)
