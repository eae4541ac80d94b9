-- Make this database the home of its jobs: workers run them here. The statement is the function's.
--   parameters  actor: written to operator_action
--   result      true
--   rows locked home (waits)
--   states      none
--   index       home_pkey
select {schema}.adopt() as adopted from set_config('pgqueue.actor', %(actor)s::text, true) offset 0
