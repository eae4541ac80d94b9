-- Operators' verbs. They wait for locks, in the order key -> history -> job by id -> lane -> lease, and each leaves a row
-- in operator_action. Each step is a statement of its own, so that it sees the newest state.

-- Cancel jobs: end what no lease holds, signal what runs.
--   result      per id: cancelled | signalled | not found | the state in which it ended before
--   rows locked job_key, job (waits)
--   states      ready | scheduled -> cancelled; running stays and is told
--   index       job_pkey, scheduled_order; a ready entry is left to vanish at the claim
create function {schema}.cancel_jobs(p_ids bigint[]) returns table (id bigint, outcome text) language plpgsql volatile as $$
#variable_conflict use_column
begin
  perform {schema}.make_partitions(0);
  perform from {schema}.job_key k where k.job_id = any(p_ids) order by k.queue, k.key for update;
  perform from {schema}.job j where j.id = any(p_ids) order by j.id for update;
  return query
  with held as materialized (
    select x.id, x.run from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(id, run)
    where l.job_ids && p_ids and x.id = any(p_ids)
  ), told as (
    insert into {schema}.job_signal (job_id, run, kind)
    select j.id, j.run, 'cancel' from {schema}.job j where j.id = any(p_ids)
  ), ended as (
    delete from {schema}.job j where j.id = any(p_ids) and (j.id, j.run) not in (select held.id, held.run from held) returning j.*
  ), unscheduled as (
    delete from {schema}.scheduled s using ended e
    where s.queue = e.queue and s.due_at = e.run_at and s.job_id = e.id and s.run = e.run
  ), freed as (
    delete from {schema}.job_key k using ended e where e.has_key and k.job_id = e.id
  ), kept as (
    insert into {schema}.job_history (id, finished_at, run_at, enqueued_at, run, timeout_ms, max_retries, attempt, crashes,
      priority, has_key, state, queue, task, args, body, codec, headers, tags, metadata, retry, deadline, expires_at,
      group_key, schedule, tick)
    select e.id, now(), e.run_at, e.enqueued_at, e.run, e.timeout_ms, e.max_retries, e.attempt, e.crashes,
      e.priority, e.has_key, 'cancelled', e.queue, e.task, e.args, e.body, e.codec, e.headers, e.tags, e.metadata, e.retry,
      e.deadline, e.expires_at, e.group_key, e.schedule, e.tick
    from ended e
  ), answered as materialized (
    select w.id, case when e.id is not null then 'cancelled' when j.id is not null then 'signalled'
      else coalesce(before.state, 'not found') end as outcome,
      e.id is null and j.id is null and before.state is not null as ended_before
    from (select distinct unnest(p_ids) as id) w left join ended e on e.id = w.id left join {schema}.job j on j.id = w.id
    left join lateral (select h.state from {schema}.job_history h where h.id = w.id limit 1) before on true
  ), recorded as (
    insert into {schema}.operator_action (actor, action, job_id, outcome)
    select {schema}.actor(), 'cancel', a.id,
      case when a.ended_before then 'refused: ' || a.outcome else a.outcome end
    from answered a
  ), notified as materialized (
    select count(pg_notify({schema}.channel(), 'cancel')) from answered a where a.outcome = 'signalled'
  )
  select a.id, a.outcome from answered a, notified order by a.id;
end $$;

create function {schema}.cancel(job_id bigint) returns text language sql volatile as $$
  select outcome from {schema}.cancel_jobs(array[job_id])
$$;

-- Bring an ended job back under its id, with a fresh retry budget; its last run goes to job_attempt.
--   result      retried | not found | the state that forbids it
--   rows locked job_history (waits)
--   states      dead | cancelled | expired -> ready
--   index       job_history_pkey
create function {schema}.retry(job_id bigint) returns text language plpgsql volatile as $$
#variable_conflict use_column
declare
  ended {schema}.job_history;
  answer text := 'retried';
begin
  perform {schema}.make_partitions(0);
  delete from {schema}.job_history h
  where h.id = retry.job_id and h.state in ('dead', 'cancelled', 'expired') returning * into ended;
  if not found then
    select a.state into answer from {schema}.all_jobs a where a.id = retry.job_id;
    answer := coalesce(answer, 'not found');
  else
    insert into {schema}.job (id, run_at, enqueued_at, run, timeout_ms, max_retries, priority, queue, task, args, body, codec,
      headers, tags, metadata, retry, group_key, schedule, tick)
    overriding system value
    values (ended.id, clock_timestamp(), ended.enqueued_at, ended.run + 1, ended.timeout_ms, ended.max_retries, ended.priority,
      ended.queue, ended.task, ended.args, ended.body, ended.codec, ended.headers, ended.tags, ended.metadata, ended.retry,
      ended.group_key, ended.schedule, ended.tick);
    if ended.started_at is not null then
      insert into {schema}.job_attempt (job_id, run, ended_at, started_at, worker_id, attempt, outcome, error)
      values (ended.id, ended.run, ended.finished_at, ended.started_at, ended.worker_id, ended.attempt, ended.state, ended.error);
    end if;
    insert into {schema}.ready (queue, priority, job_id, run) values (ended.queue, ended.priority, ended.id, ended.run + 1);
    perform {schema}.wake(ended.queue, clock_timestamp());
  end if;
  insert into {schema}.operator_action (actor, action, job_id, queue, outcome)
  values ({schema}.actor(), 'retry', retry.job_id, ended.queue,
    case when answer in ('retried', 'not found') then answer else 'refused: ' || answer end);
  return answer;
end $$;

create function {schema}.pause(queue text) returns text language plpgsql volatile as $$
#variable_conflict use_column
begin
  insert into {schema}.queue (name, paused_at) values (pause.queue, clock_timestamp())
  on conflict (name) do update set paused_at = coalesce({schema}.queue.paused_at, excluded.paused_at);
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'pause', pause.queue, 'paused');
  return 'paused';
end $$;

create function {schema}.resume(queue text) returns text language plpgsql volatile as $$
#variable_conflict use_column
begin
  insert into {schema}.queue (name) values (resume.queue) on conflict (name) do update set paused_at = null;
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'resume', resume.queue, 'resumed');
  perform pg_notify({schema}.channel(), 'ready:' || resume.queue);
  return 'resumed';
end $$;
