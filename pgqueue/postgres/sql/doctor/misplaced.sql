-- Count live jobs that do not stand in exactly one place.
--   parameters  none
--   result      how many, the first ids
--   rows locked none
--   states      none
--   index       none
select count(*)::int as jobs, (array_agg(m.id::text order by m.id))[1:5] as ids from {schema}.misplaced_jobs m
