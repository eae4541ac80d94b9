-- List queues with ready jobs that no living worker serves.
--   parameters  silent: seconds after which a worker counts as gone
--   result      queue, jobs
--   rows locked none
--   states      none
--   index       ready_order
select r.queue, count(*)::int as jobs from {schema}.ready r
where not exists (
  select from {schema}.worker w
  where r.queue = any(w.queues) and w.beat_at > clock_timestamp() - %(silent)s::float8 * interval '1 s'
) and not exists (select from {schema}.queue q where q.name = r.queue and q.paused_at is not null)
group by r.queue order by jobs desc, r.queue
