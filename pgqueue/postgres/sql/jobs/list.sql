-- List jobs, newest first.
--   parameters  state, queue, task (null: any), limit
--   result      one row a job, columns as the view all_jobs
--   rows locked none
--   states      none
--   index       job_pkey, job_history_pkey
select id::text, state, queue, task, priority, enqueued_at, run_at, started_at, finished_at, attempt, run, crashes,
  max_retries, extract(epoch from timeout)::float8 as timeout, worker_id::text, args, result, error_type, error, traceback,
  headers, tags
from {schema}.all_jobs
where (%(id)s::bigint is null or id = %(id)s::bigint)
  and (%(state)s::text is null or state = %(state)s::text)
  and (%(queue)s::text is null or queue = %(queue)s::text)
  and (%(task)s::text is null or task = %(task)s::text)
order by all_jobs.id desc limit %(limit)s::int
