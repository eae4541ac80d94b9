-- Tell which system, timeline, database and tables this connection speaks to; another answer means: forget what you knew.
--   parameters  none
--   result      system identifier, timeline, oid of the database, oid of job
--   rows locked none
--   states      none
--   index       none
select s.system_identifier, c.timeline_id, d.oid::bigint, '{schema}.job'::regclass::oid::bigint
from pg_control_system() s, pg_control_checkpoint() c, pg_database d where d.datname = current_database()
