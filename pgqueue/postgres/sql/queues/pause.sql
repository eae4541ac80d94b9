-- Pause claims from a queue. The statement is the function's: SQL callers use it too.
--   parameters  queue, actor: written to operator_action
--   result      outcome
--   rows locked the queue's row (waits)
--   states      none
--   index       queue_pkey
select {schema}.pause(%(queue)s::text) as outcome from set_config('pgqueue.actor', %(actor)s::text, true) offset 0
