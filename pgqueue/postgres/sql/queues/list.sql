-- List queues with what stands in them.
--   parameters  none
--   result      one row a queue, columns as the view queue_stats
--   rows locked none
--   states      none
--   index       ready_order, scheduled_order
select queue, paused, ready, scheduled, running, oldest_ready_at, next_due_at from {schema}.queue_stats order by queue
