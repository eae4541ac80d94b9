-- Count the leases whose worker is gone, and the jobs in them.
--   parameters  none
--   result      leases, jobs
--   rows locked none
--   states      none
--   index       worker_pkey
select count(*)::int as leases, coalesce(sum(cardinality(l.job_ids)), 0)::int as jobs
from {schema}.lease l where not exists (select from {schema}.worker w where w.id = l.worker_id)
