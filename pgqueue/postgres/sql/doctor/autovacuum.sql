-- Say whether autovacuum works, and for which of our tables it was turned off.
--   parameters  schema
--   result      whether it is on, tables
--   rows locked none
--   states      none
--   index       none
select current_setting('autovacuum')::bool and current_setting('track_counts')::bool as works,
  array(select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s::text and c.reloptions && array['autovacuum_enabled=false', 'autovacuum_enabled=off']
    order by c.relname) as off
