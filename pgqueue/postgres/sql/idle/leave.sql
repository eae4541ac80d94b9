-- Say that the worker is busy on these queues and needs no notification.
--   parameters  worker, queues
--   result      none
--   rows locked the worker's own rows
--   states      none
--   index       worker_idle_pkey
delete from {schema}.worker_idle where worker_id = %(worker)s::bigint and queue = any(%(queues)s::text[])
