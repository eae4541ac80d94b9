-- Enqueue: expires_in is counted from the moment the job is written, by the clock of the server.

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
      w.more -> 'metadata', w.more -> 'retry', (w.more ->> 'deadline')::timestamptz, coalesce((w.more ->> 'expires_at')::timestamptz, clock_timestamp() + (w.more ->> 'expires_in')::float8 * interval '1 s')
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
    expires_at = coalesce((p_more ->> 'expires_at')::timestamptz, clock_timestamp() + (p_more ->> 'expires_in')::float8 * interval '1 s')
  where j.id = p_id returning j.* into fresh;
  if fresh.run_at <= clock_timestamp() then
    insert into {schema}.ready (queue, priority, job_id, run) values (fresh.queue, fresh.priority, fresh.id, fresh.run);
  else
    insert into {schema}.scheduled (queue, due_at, job_id, run) values (fresh.queue, fresh.run_at, fresh.id, fresh.run);
  end if;
  perform {schema}.wake(fresh.queue, fresh.run_at);
  return true;
end $$;
