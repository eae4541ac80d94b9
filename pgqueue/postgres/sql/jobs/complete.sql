-- End a running job in the transaction of its handler. The statement is the function's.
--   parameters  job, run, lease; ago: seconds since the handler was called; result: JSON, or null
--   result      false: the job is not this run's any more
--   rows locked job_key, job (waits)
--   states      running -> succeeded
--   index       lease_pkey, job_pkey, job_key_job
select {schema}.complete(%(job)s::bigint, %(run)s::int, %(lease)s::bigint, %(ago)s::float8, %(result)s::text::jsonb) as done
