-- Count the connections that the server has and may have.
--   parameters  none
--   result      used, most (without those kept for superusers)
--   rows locked none
--   states      none
--   index       none
select (select sum(numbackends)::int from pg_stat_database) as used,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) as most
