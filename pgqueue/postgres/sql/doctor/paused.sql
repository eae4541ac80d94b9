-- List paused queues.
--   parameters  none
--   result      queue, since when, ready jobs
--   rows locked none
--   states      none
--   index       ready_order
select q.name, q.paused_at, (select count(*)::int from {schema}.ready r where r.queue = q.name) as jobs
from {schema}.queue q where q.paused_at is not null order by q.name
