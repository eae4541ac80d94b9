-- Delete what workers that are gone left behind: each enqueue would go on to notify them.
--   parameters  none
--   result      none
--   rows locked worker_idle
--   states      none
--   index       worker_pkey
delete from {schema}.worker_idle i where not exists (select from {schema}.worker w where w.id = i.worker_id)
