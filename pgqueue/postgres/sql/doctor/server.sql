-- Say what server this is and who asks.
--   parameters  none
--   result      version, its number, whether it is a standby, database, role, its time
--   rows locked none
--   states      none
--   index       none
select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
  pg_is_in_recovery() as standby, current_database()::text as database, current_user::text as role,
  clock_timestamp() as server_time
