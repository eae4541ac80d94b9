-- List the runs of a job that were started and have ended, oldest first.
--   parameters  id
--   result      one row a run, columns as the view all_attempts
--   rows locked none
--   states      none
--   index       job_attempt_pkey, job_history_pkey
select run, attempt, outcome, started_at, ended_at, worker_id::text, error_type, error, traceback
from {schema}.all_attempts where job_id = %(id)s::bigint order by run
