-- Say whether this database is where its jobs belong, and not a copy that nobody adopted.
--   parameters  none
--   result      at_home
--   rows locked none
--   states      none
--   index       none
select exists (
  select from {schema}.home h, pg_control_system() s, pg_database d
  where d.datname = current_database() and h.system_identifier = s.system_identifier and h.database_oid = d.oid::bigint
) as at_home
