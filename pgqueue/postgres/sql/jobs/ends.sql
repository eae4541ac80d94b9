-- See how jobs ended.
--   parameters  ids
--   result      id, state, task, result, error type, message, traceback
--   rows locked none
--   states      none
--   index       job_history_pkey, from the newest partition on
select w.id::text, h.state, h.task, h.result, h.error ->> 'type', h.error ->> 'message', h.error ->> 'traceback'
from unnest(%(ids)s::text::bigint[]) as w(id)
cross join lateral (select * from {schema}.job_history h where h.id = w.id order by h.finished_at desc limit 1) h
