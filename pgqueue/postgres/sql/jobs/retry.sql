-- Bring an ended job back under its id. The statement is the function's: SQL callers use it too.
--   parameters  id, actor: written to operator_action
--   result      outcome
--   rows locked see {schema}.retry
--   states      dead | cancelled | expired -> ready
--   index       job_pkey, job_history_pkey
select {schema}.retry(%(id)s::bigint) as outcome from set_config('pgqueue.actor', %(actor)s::text, true) offset 0
