-- See whether the lanes are due for a vacuum, where no lock can be held beyond a transaction.
--   parameters  schema
--   result      whether the last one began more than 10 s ago
--   rows locked none
--   states      none
--   index       none
select coalesce(last_vacuum < clock_timestamp() - interval '10 s', true) as free
from pg_stat_user_tables where schemaname = %(schema)s::text and relname = 'ready'
