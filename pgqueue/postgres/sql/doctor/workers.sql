-- List the workers and for how long each was silent.
--   parameters  none
--   result      name, seconds since its last beat
--   rows locked none
--   states      none
--   index       none
select w.name, extract(epoch from clock_timestamp() - w.beat_at)::float8 as silent from {schema}.worker w order by silent desc
