-- Take a role of ours from a role of the database. The statement is the function's: SQL callers use it too.
--   parameters  role, name; actor: written to operator_action
--   result      how many privileges
--   rows locked none of ours
--   states      none
--   index       none
select {schema}.revoke_access(%(role)s::text, %(name)s::text) as privileges
from set_config('pgqueue.actor', %(actor)s::text, true) offset 0
