-- The public, versioned contract for auditors. A column may be added; none changes its meaning.

create view {schema}.all_jobs as
with live as (
  select r.job_id, r.run, 'ready' as state, null::bigint as worker_id, null::timestamptz as claimed_at from {schema}.ready r
  union all
  select s.job_id, s.run, 'scheduled', null, null from {schema}.scheduled s
  union all
  select x.job_id, x.run, 'running', l.worker_id, l.claimed_at
  from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(job_id, run)
)
select j.id, live.state, j.queue, j.task, j.priority, j.enqueued_at, j.run_at, live.claimed_at as started_at,
  null::timestamptz as finished_at, j.attempt, j.run, j.crashes, j.max_retries,
  j.timeout_ms * interval '1 ms' as timeout, live.worker_id, j.args, null::jsonb as result,
  null::text as error_type, null::text as error, null::text as traceback,
  j.headers, j.tags, j.metadata, j.deadline, j.expires_at, j.schedule, j.tick
from live join {schema}.job j on j.id = live.job_id and j.run = live.run
union all
select h.id, h.state, h.queue, h.task, h.priority, h.enqueued_at, h.run_at, h.started_at,
  h.finished_at, h.attempt, h.run, h.crashes, h.max_retries,
  h.timeout_ms * interval '1 ms', h.worker_id, h.args, h.result,
  h.error ->> 'type', h.error ->> 'message', h.error ->> 'traceback',
  h.headers, h.tags, h.metadata, h.deadline, h.expires_at, h.schedule, h.tick
from {schema}.job_history h;

create view {schema}.all_attempts as
select a.job_id, a.run, a.attempt, a.outcome, a.started_at, a.ended_at, a.worker_id,
  a.error ->> 'type' as error_type, a.error ->> 'message' as error, a.error ->> 'traceback' as traceback
from {schema}.job_attempt a
union all
select h.id, h.run, h.attempt, h.state, h.started_at, h.finished_at, h.worker_id,
  h.error ->> 'type', h.error ->> 'message', h.error ->> 'traceback'
from {schema}.job_history h where h.started_at is not null;

create view {schema}.queue_stats as
with counted as (
  select r.queue, count(*) as ready, 0::bigint as scheduled, 0::bigint as running from {schema}.ready r group by 1
  union all
  select s.queue, 0, count(*), 0 from {schema}.scheduled s group by 1
  union all
  select j.queue, 0, 0, count(*)
  from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(id, run)
  join {schema}.job j on j.id = x.id and j.run = x.run group by 1
  union all
  select q.name, 0, 0, 0 from {schema}.queue q
)
select c.queue, q.paused_at is not null as paused, sum(c.ready)::bigint as ready, sum(c.scheduled)::bigint as scheduled,
  sum(c.running)::bigint as running,
  (select min(j.run_at) from {schema}.ready r join {schema}.job j on j.id = r.job_id and j.run = r.run where r.queue = c.queue) as oldest_ready_at,
  (select min(s.due_at) from {schema}.scheduled s where s.queue = c.queue) as next_due_at
from counted c left join {schema}.queue q on q.name = c.queue
group by c.queue, q.paused_at;

-- Every live job stands in exactly one place. Empty when all is well.
create view {schema}.misplaced_jobs as
select j.id, j.run, count(p.run) as places
from {schema}.job j left join (
  select r.job_id, r.run from {schema}.ready r
  union all select s.job_id, s.run from {schema}.scheduled s
  union all select x.job_id, x.run from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(job_id, run)
) p on p.job_id = j.id and p.run = j.run
group by j.id, j.run having count(p.run) <> 1;
