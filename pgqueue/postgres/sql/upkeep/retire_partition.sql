-- Drop a partition of history that is over, for a role that does not own it. The statement is the function's.
--   parameters  partition
--   result      none
--   rows locked the parent, exclusively and for 50 ms at most
--   states      none
--   index       none
select {schema}.retire_partition(%(partition)s::text)
