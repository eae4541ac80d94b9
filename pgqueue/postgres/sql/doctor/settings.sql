-- Read settings as they hold on this connection.
--   parameters  names
--   result      name, setting in its base unit
--   rows locked none
--   states      none
--   index       none
select name, setting from pg_settings where name = any(%(names)s::text[])
