-- Say which database this is: a copy of the files has the same system, a database restored beside it has another oid.
--   parameters  none
--   result      system, database
--   rows locked none
--   states      none
--   index       none
select s.system_identifier, d.oid::bigint as database
from pg_control_system() s, pg_database d where d.datname = current_database()
