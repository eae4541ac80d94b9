-- Take a stopping worker off the list. What it still holds is found by the next sweep.
--   parameters  worker
--   result      none
--   rows locked the worker's own rows
--   states      none
--   index       worker_pkey
with awake as (delete from {schema}.worker_idle where worker_id = %(worker)s::bigint)
delete from {schema}.worker where id = %(worker)s::bigint
