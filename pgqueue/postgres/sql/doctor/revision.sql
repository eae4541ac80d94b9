-- Say at which revision the schema is.
--   parameters  none
--   result      revision
--   rows locked none
--   states      none
--   index       none
select version_num as revision from {schema}.migration
