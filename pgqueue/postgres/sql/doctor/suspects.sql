-- Find jobs that were held by a worker when it died.
--   parameters  none
--   result      how many; id, task and crashes of the one with most
--   rows locked none
--   states      none
--   index       none
select (count(*) over ())::int as jobs, j.id::text, j.task, j.crashes from {schema}.job j
where j.crashes > 0 order by j.crashes desc, j.id limit 1
