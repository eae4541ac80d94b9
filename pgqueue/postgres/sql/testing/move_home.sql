-- Make a database that was copied from a template for one test the home of its jobs. Unlike upkeep/adopt this is no operator's
-- action, and leaves no row of one.
--   parameters  none
--   result      none
--   rows locked home
--   states      none
--   index       none
update {schema}.home set database_oid = d.oid::bigint, system_identifier = s.system_identifier
from pg_database d, pg_control_system() s where d.datname = current_database()
