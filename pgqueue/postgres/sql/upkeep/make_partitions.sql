-- Create history partitions ahead.
--   parameters  days
--   result      none
--   rows locked none
--   states      none
--   index       none
select {schema}.make_partitions(%(days)s::int)
