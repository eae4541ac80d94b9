-- See what a worker would still run now: ready jobs and due ones of queues that are not paused, and jobs that a lease holds.
--   parameters  none
--   result      queue, jobs; no row when there is nothing
--   rows locked none
--   states      none
--   index       job_pkey
select live.queue, count(*)::int as jobs
from (
  select r.queue, r.job_id, r.run, false as held from {schema}.ready r
  union all
  select s.queue, s.job_id, s.run, false from {schema}.scheduled s where s.due_at <= clock_timestamp()
  union all
  select j.queue, x.id, x.run, true
  from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(id, run) join {schema}.job j on j.id = x.id and j.run = x.run
) live
join {schema}.job j on j.id = live.job_id and j.run = live.run
left join {schema}.queue q on q.name = live.queue
where live.held or q.paused_at is null
group by live.queue order by live.queue
