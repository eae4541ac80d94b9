-- See when the next job is due that a worker could run then.
--   parameters  tasks: those that the application declares
--   result      seconds until it is due (negative: it is), null when none waits
--   rows locked none
--   states      none
--   index       job_pkey
select extract(epoch from min(s.due_at) - clock_timestamp())::float8 as due_in
from {schema}.scheduled s
join {schema}.job j on j.id = s.job_id and j.run = s.run
left join {schema}.queue q on q.name = s.queue
where q.paused_at is null and j.task = any(%(tasks)s::text::text[])
