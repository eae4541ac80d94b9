-- Drops what revision 0003 made and puts back what it replaced.
drop function {schema}.complete(bigint, integer, bigint, float8, jsonb);
drop table {schema}.job_checkpoint;
alter table {schema}.home drop column least_protocol;
alter table {schema}.worker add column suspect_job bigint, add column suspect_run integer;
alter table {schema}.lease drop column started;

create or replace function {schema}.write_jobs(
  p_queue text[], p_task text[], p_args jsonb[], p_priority integer[], p_delay float8[], p_run_at timestamptz[],
  p_max_retries integer[], p_timeout_ms integer[], p_more jsonb[], p_id bigint[]
) returns setof bigint language plpgsql volatile as $$
begin
  return query
  with wanted as materialized (
    select coalesce(w.id, nextval('{schema}.job_id_seq')) as id,
      w.queue, w.task, w.args, w.priority, w.delay, w.run_at, w.max_retries, w.timeout_ms, w.more
    from unnest(p_id, p_queue, p_task, p_args, p_priority, p_delay, p_run_at, p_max_retries, p_timeout_ms, p_more)
      as w(id, queue, task, args, priority, delay, run_at, max_retries, timeout_ms, more)
  ), written as (
    insert into {schema}.job (id, run_at, timeout_ms, max_retries, priority, has_key, queue, task, args, body, codec,
                              headers, tags, metadata, retry, deadline, expires_at)
    overriding system value
    select w.id, coalesce(w.run_at, clock_timestamp() + coalesce(w.delay, 0) * interval '1 s'),
      coalesce(w.timeout_ms, 1800000), coalesce(w.max_retries, 25), coalesce(w.priority, 0), coalesce(w.more ? 'has_key', false),
      coalesce(w.queue, 'default'), w.task, w.args, decode(w.more ->> 'body', 'base64'), w.more ->> 'codec',
      w.more -> 'headers', case when w.more ? 'tags' then array(select jsonb_array_elements_text(w.more -> 'tags')) end,
      w.more -> 'metadata', w.more -> 'retry', (w.more ->> 'deadline')::timestamptz, (w.more ->> 'expires_at')::timestamptz
    from wanted w
    returning id, queue, priority, run, run_at, run_at <= clock_timestamp() as due
  ), now_ready as (
    insert into {schema}.ready (queue, priority, job_id, run)
    select w.queue, w.priority, w.id, w.run from written w where w.due
  ), later as (
    insert into {schema}.scheduled (queue, due_at, job_id, run)
    select w.queue, w.run_at, w.id, w.run from written w where not w.due
  ), told as materialized (
    select count({schema}.wake(q.queue, q.due_at)) as queues
    from (select w.queue, min(w.run_at) as due_at from written w group by w.queue) q
  )
  select w.id from wanted w, told order by w.id;
end $$;

create or replace function {schema}.replace_job(
  p_id bigint, p_task text, p_args jsonb, p_priority integer, p_delay float8, p_run_at timestamptz, p_max_retries integer,
  p_timeout_ms integer, p_more jsonb
) returns boolean language plpgsql volatile as $$
declare
  old {schema}.job;
  fresh {schema}.job;
begin
  select * into old from {schema}.job j where j.id = p_id for update;
  if not found or exists (
    select from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(id, run)
    where l.job_ids @> array[p_id] and x.id = p_id and x.run = old.run
  ) then
    return false;
  end if;
  delete from {schema}.scheduled s where s.queue = old.queue and s.due_at = old.run_at and s.job_id = p_id and s.run = old.run;
  update {schema}.job j set run = old.run + 1, attempt = 0, crashes = 0,
    run_at = coalesce(p_run_at, clock_timestamp() + coalesce(p_delay, 0) * interval '1 s'),
    timeout_ms = coalesce(p_timeout_ms, 1800000), max_retries = coalesce(p_max_retries, 25), priority = coalesce(p_priority, 0),
    task = p_task, args = p_args,
    body = decode(p_more ->> 'body', 'base64'), codec = p_more ->> 'codec', headers = p_more -> 'headers',
    tags = case when p_more ? 'tags' then array(select jsonb_array_elements_text(p_more -> 'tags')) end,
    metadata = p_more -> 'metadata', retry = p_more -> 'retry', deadline = (p_more ->> 'deadline')::timestamptz,
    expires_at = (p_more ->> 'expires_at')::timestamptz
  where j.id = p_id returning j.* into fresh;
  if fresh.run_at <= clock_timestamp() then
    insert into {schema}.ready (queue, priority, job_id, run) values (fresh.queue, fresh.priority, fresh.id, fresh.run);
  else
    insert into {schema}.scheduled (queue, due_at, job_id, run) values (fresh.queue, fresh.run_at, fresh.id, fresh.run);
  end if;
  perform {schema}.wake(fresh.queue, fresh.run_at);
  return true;
end $$;

create or replace function {schema}.pause(queue text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform {schema}.check_queue(pause.queue);
  insert into {schema}.queue (name, paused_at) values (pause.queue, clock_timestamp())
  on conflict (name) do update set paused_at = coalesce({schema}.queue.paused_at, excluded.paused_at);
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'pause', pause.queue, 'paused');
  return 'paused';
end $$;

create or replace function {schema}.role_grants() returns table (roles text[], privileges text, kind text, objects text[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  values
    (array['producer', 'worker'], 'execute', 'function',
      array['enqueue', 'enqueue_many', 'enqueue_jobs', 'enqueue_keyed', 'unique_key', 'job_states']),
    (array['auditor', 'admin'], 'execute', 'function', array['unique_key', 'job_states']),
    (array['auditor', 'admin'], 'select', 'table',
      array['all_jobs', 'all_attempts', 'queue_stats', 'misplaced_jobs', 'job_history', 'job_attempt', 'job_key', 'operator_action',
        'queue', 'worker', 'worker_log', 'job_progress', 'schedule', 'schedule_tick', 'migration']),
    (array['admin'], 'execute', 'function', array['cancel', 'cancel_jobs', 'retry', 'pause', 'resume', 'adopt']),
    (array['worker'], 'execute', 'function', array['channel', 'wake', 'make_partitions', 'retire_partition']),
    (array['worker'], 'usage', 'sequence', array['ready_seq', 'job_id_seq']),
    (array['worker'], 'select, insert, update, delete', 'table',
      array['job', 'ready', 'scheduled', 'lease', 'job_key', 'worker', 'worker_idle', 'worker_log', 'job_signal', 'job_progress']),
    (array['worker'], 'select, insert, update', 'table', array['queue']),
    (array['worker'], 'select, insert', 'table', array['job_history', 'job_attempt']),
    (array['worker'], 'select', 'table', array['home']),
    (array['worker'], case when current_setting('server_version_num')::int >= 170000 then 'maintain' end, 'table',
      array['ready', 'scheduled', 'lease', 'job', 'worker', 'worker_idle'])
$$;
