-- Forget workers that are gone and older than the retention.
--   parameters  days
--   result      none
--   rows locked worker_log
--   states      none
--   index       worker_pkey
delete from {schema}.worker_log l
where l.started_at < now() - %(days)s::int * interval '1 day'
  and not exists (select from {schema}.worker w where w.id = l.id)
