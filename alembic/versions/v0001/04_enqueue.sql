-- Enqueue: one statement for Python, SQL and every driver, with one home for the defaults.

-- The channel on which workers of this database and schema listen.
create function {schema}.channel() returns text language sql stable as $$
  select 'pgqueue_' || left(md5(current_database() || '.{schema}'), 20)
$$;

-- Tell sleeping workers of a queue. VOLATILE, and called after the job was written: its own snapshot then sees every
-- worker_idle row that was committed before this transaction had an xid. Other isolation levels cannot see, so they tell.
create function {schema}.wake(p_queue text, p_due timestamptz) returns void language plpgsql volatile as $$
begin
  if coalesce(current_setting('pgqueue.notify', true), 'on') = 'off' then  -- two-phase callers
    return;
  end if;
  if exists (select from {schema}.worker_idle i where i.queue = p_queue and clock_timestamp() + i.nap >= p_due)
     or current_setting('transaction_isolation') <> 'read committed' and p_due <= clock_timestamp() + interval '2 s' then
    perform pg_notify({schema}.channel(), case when p_due <= clock_timestamp() then 'ready:' else 'due:' end || p_queue);
  end if;
end $$;

-- Write jobs and their places.
--   parameters  parallel arrays; a null element means the default; p_more: headers, tags, metadata, retry, deadline, expires_at
--   result      ids in the order given
--   rows locked none but the new ones
--   states      - -> ready | scheduled; decided once, by the clock at the write of the job
--   index       none
create function {schema}.enqueue_jobs(
  p_queue text[], p_task text[], p_args jsonb[], p_priority integer[], p_delay float8[], p_run_at timestamptz[],
  p_max_retries integer[], p_timeout_ms integer[], p_more jsonb[]
) returns setof bigint language plpgsql volatile as $$
begin
  return query
  with wanted as materialized (
    select nextval('{schema}.job_id_seq') as id, w.*
    from unnest(p_queue, p_task, p_args, p_priority, p_delay, p_run_at, p_max_retries, p_timeout_ms, p_more)
      as w(queue, task, args, priority, delay, run_at, max_retries, timeout_ms, more)
  ), written as (
    insert into {schema}.job (id, run_at, timeout_ms, max_retries, priority, queue, task, args,
                              headers, tags, metadata, retry, deadline, expires_at)
    overriding system value
    select w.id, coalesce(w.run_at, clock_timestamp() + coalesce(w.delay, 0) * interval '1 s'),
      coalesce(w.timeout_ms, 1800000), coalesce(w.max_retries, 25), coalesce(w.priority, 0),
      coalesce(w.queue, 'default'), w.task, w.args,
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

-- Refuse what no job may hold, with a sentence that says what to do.
create function {schema}.check_job(
  p_task text, p_args jsonb, p_queue text, p_priority integer, p_delay interval, p_run_at timestamptz,
  p_max_retries integer, p_timeout interval, p_headers jsonb, p_tags text[]
) returns void language plpgsql immutable as $$
declare
  problem text := case
    when p_task is null or p_task = '' or length(p_task) > 200
      then 'task must be 1 to 200 characters. Pass the name under which the worker declares it.'
    when p_queue = '' or length(p_queue) > 100
      then 'queue must be 1 to 100 characters. Leave it out for "default".'
    when p_args is null or jsonb_typeof(p_args) <> 'object'
      then 'args must be a JSON object of the task''s parameters by name. Pass ''{}'' for none.'
    when p_priority not between 0 and 9
      then format('priority %s is not between 0 and 9. 9 is served first, 0 is the default.', p_priority)
    when p_delay is not null and p_run_at is not null
      then 'delay and run_at exclude each other. Pass the relative delay or the absolute run_at.'
    when octet_length(p_args::text) > 1048576
      then format('args take %s bytes, and a job holds at most 1048576. Store the data elsewhere and pass its key.', octet_length(p_args::text))
    when p_delay < interval '0' or p_delay > interval '100 years'
      then format('delay %s is not from 0 to 100 years. Leave it out to run at once.', p_delay)
    when p_run_at < '0001-01-01 00:00+00' or p_run_at >= '10000-01-01 00:00+00'
      then format('run_at %s is not between the years 1 and 9999. Leave it out to run at once.', p_run_at)
    when p_max_retries not between 0 and 32766
      then format('max_retries %s is not between 0 and 32766. Pass 0 for a single attempt.', p_max_retries)
    when p_timeout <= interval '0' or p_timeout > interval '24 days'
      then format('timeout %s is not between 1 ms and 24 days. Leave it out for 30 minutes.', p_timeout)
    when jsonb_typeof(p_headers) <> 'object'
      or jsonb_path_exists(p_headers, 'strict $.* ? (@.type() <> "string")', silent => true)
      then 'headers must be a JSON object of texts. Leave it out for none.'
    when array_position(p_tags, null) is not null
      then 'tags must not hold a null. Pass texts, or leave it out for none.'
    when octet_length(p_headers::text) > 262144 or octet_length(p_tags::text) > 262144
      then 'headers or tags take more than 262144 bytes. Store the data elsewhere and pass its key.'
  end;
begin
  if problem is not null then
    raise exception '%', problem using errcode = 'invalid_parameter_value';
  end if;
end $$;

create function {schema}.enqueue(
  task text, args jsonb default '{}', queue text default null, priority integer default null, delay interval default null,
  run_at timestamptz default null, max_retries integer default null, timeout interval default null,
  headers jsonb default null, tags text[] default null
) returns bigint language plpgsql volatile as $$
begin
  perform {schema}.check_job(task, args, queue, priority, delay, run_at, max_retries, timeout, headers, tags);
  return (select {schema}.enqueue_jobs(
    array[queue], array[task], array[args], array[priority], array[extract(epoch from delay)::float8], array[run_at],
    array[max_retries], array[ceil(extract(epoch from timeout) * 1000)::integer],
    array[nullif(jsonb_strip_nulls(jsonb_build_object('headers', nullif(headers, '{}'), 'tags', to_jsonb(nullif(tags, '{}')))), '{}')]));
end $$;
