-- Read the beat counters of all workers; the caller judges silence by its own monotonic clock. Says too whether a lease
-- stands whose worker is gone.
--   parameters  none
--   result      one row: ids, beats (parallel arrays), orphans
--   rows locked none
--   states      none
--   index       worker_pkey
select coalesce(array_agg(w.id order by w.id), '{}') as ids, coalesce(array_agg(w.beat order by w.id), '{}') as beats,
  exists (select from {schema}.lease l left join {schema}.worker o on o.id = l.worker_id where o.id is null) as orphans
from {schema}.worker w
