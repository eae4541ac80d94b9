-- Take the duty to vacuum the lanes, for as long as the connection lasts.
--   parameters  schema
--   result      whether it was free
--   rows locked none; an advisory lock of the session
--   states      none
--   index       none
select pg_try_advisory_lock(hashtextextended(%(schema)s::text || '.tidy', 0)) as free
