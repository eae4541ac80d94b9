-- Cancel a job: end it, or signal the worker that runs it. The statement is the function's: SQL callers use it too.
--   parameters  id, actor: written to operator_action
--   result      outcome
--   rows locked see {schema}.cancel
--   states      ready | scheduled -> cancelled; running stays and is told
--   index       job_pkey, job_history_pkey
select {schema}.cancel(%(id)s::bigint) as outcome from set_config('pgqueue.actor', %(actor)s::text, true) offset 0
