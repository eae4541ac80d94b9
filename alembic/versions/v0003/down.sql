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

alter table {schema}.job drop constraint job_times_are_finite;

create function {schema}.more_of(p_headers jsonb, p_tags text[]) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select nullif(jsonb_strip_nulls(jsonb_build_object('headers', nullif(p_headers, '{}'), 'tags', to_jsonb(nullif(p_tags, '{}')))), '{}')
$$;

create function {schema}.enqueue(
  task text, args jsonb default '{}', queue text default null, priority integer default null, delay interval default null,
  run_at timestamptz default null, max_retries integer default null, timeout interval default null,
  headers jsonb default null, tags text[] default null,
  key text default null, scope text default null, period interval default null, on_conflict text default null
) returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  answer record;
begin
  perform {schema}.check_job(task, args, queue, priority, delay, run_at, max_retries, timeout, headers, tags,
    key, scope, period, on_conflict);
  if key is null then
    return (select {schema}.enqueue_jobs(array[queue], array[task], array[args], array[priority],
      array[extract(epoch from delay)::float8], array[run_at], array[max_retries],
      array[ceil(extract(epoch from timeout) * 1000)::integer], array[{schema}.more_of(headers, tags)]));
  end if;
  select k.id, k.outcome into answer from {schema}.enqueue_keyed(array[queue], array[task], array[args], array[priority],
    array[extract(epoch from delay)::float8], array[run_at], array[max_retries],
    array[ceil(extract(epoch from timeout) * 1000)::integer], array[{schema}.more_of(headers, tags)],
    array[{schema}.key_of(key, scope, period, on_conflict)]) k;
  if answer.outcome = 'refused' then
    raise exception 'Job % holds the key % in the queue %. Wait until it frees it, or pass on_conflict => ''skip''.',
      answer.id, quote_literal(key), quote_literal(coalesce(queue, 'default')) using errcode = 'unique_violation';
  end if;
  return answer.id;
end $$;

do $$
declare
  grantee name;
  holders name[] := array(
    select r.rolname from pg_proc p, aclexplode(p.proacl) a join pg_roles r on r.oid = a.grantee
    where p.oid = '{schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz)'::regprocedure and r.oid <> p.proowner
  );
begin
  revoke execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text), {schema}.more_of(jsonb, text[]) from public;
  foreach grantee in array holders loop
    execute format('grant execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text) to %I', grantee);
  end loop;
  drop function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz), {schema}.more_of(jsonb, text[], timestamptz, timestamptz), {schema}.check_times(timestamptz, timestamptz, text);
end $$;

create or replace function {schema}.field_problem(p_name text, p_value jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_name not in ('task', 'args', 'queue', 'priority', 'delay', 'run_at', 'max_retries', 'timeout', 'headers', 'tags', 'key',
        'scope', 'period', 'on_conflict')
      then format('%s is not a parameter of enqueue. Its parameters are task, args, queue, priority, delay, run_at, max_retries, '
        'timeout, headers, tags, key, scope, period and on_conflict.', quote_literal(left(p_name, 200)))
    when jsonb_typeof(p_value) = 'null' then null
    when p_name in ('task', 'queue', 'key', 'scope', 'on_conflict') and jsonb_typeof(p_value) <> 'string'
      then format('%s must be text, not %s. Write it in quotes.', p_name, left(p_value::text, 200))
    when p_name in ('priority', 'max_retries')
        and (jsonb_typeof(p_value) <> 'number' or not pg_input_is_valid(p_value #>> '{}', 'integer'))
      then format('%s must be a whole number, not %s. Leave it out for the default.', p_name, left(p_value::text, 200))
    when p_name in ('delay', 'timeout', 'period')
        and (jsonb_typeof(p_value) not in ('string', 'number') or not pg_input_is_valid(p_value #>> '{}', 'interval'))
      then format('%s must be a length of time, not %s. Write it as "10 s", "1 hour" or in seconds.', p_name, left(p_value::text, 200))
    when p_name = 'run_at' and (jsonb_typeof(p_value) <> 'string' or not pg_input_is_valid(p_value #>> '{}', 'timestamptz'))
      then format('run_at must be a time, not %s. Write it as "2030-01-31T12:00:00Z".', left(p_value::text, 200))
    when p_name = 'tags' and (jsonb_typeof(p_value) <> 'array' or jsonb_path_exists(p_value, 'strict $[*] ? (@.type() <> "string")'))
      then format('tags must be a JSON array of texts, not %s. Leave it out for none.', left(p_value::text, 200))
  end
$$;

create or replace function {schema}.enqueue_many(jobs jsonb) returns table ("position" bigint, id bigint, created boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  problem text;
  answer record;
begin
  if jobs is null or jsonb_typeof(jobs) <> 'array' then
    raise exception 'jobs must be a JSON array of objects, not %. Pass ''[{"task": "...", "args": {}}]''.', coalesce(jsonb_typeof(jobs), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  select format('job %s: %s', e.place, coalesce(n.problem,
    format('it must be a JSON object, not %s. Pass {"task": "...", "args": {}}.', left(e.job::text, 200))))
  into problem
  from jsonb_array_elements(jobs) with ordinality e(job, place)
  left join lateral (
    select {schema}.field_problem(f.name, f.value) as problem
    from jsonb_each(case when jsonb_typeof(e.job) = 'object' then e.job end) f(name, value)
  ) n on n.problem is not null
  where n.problem is not null or jsonb_typeof(e.job) <> 'object' order by e.place limit 1;
  if problem is not null then
    raise exception '%', problem using errcode = 'invalid_parameter_value';
  end if;
  for answer in
    with given as materialized (
      select g.*, {schema}.check_job(g.task, coalesce(g.args, '{}'), g.queue, g.priority, g.delay, g.run_at, g.max_retries, g.timeout,
        g.headers, g.tags, g.key, g.scope, g.period, g.on_conflict, format('job %s: ', g.place)) is null as checked
      from rows from (jsonb_to_recordset(jobs) as (task text, args jsonb, queue text, priority integer, delay interval,
          run_at timestamptz, max_retries integer, timeout interval, headers jsonb, tags text[], key text, scope text,
          period interval, on_conflict text))
        with ordinality as g(task, args, queue, priority, delay, run_at, max_retries, timeout, headers, tags, key, scope, period,
          on_conflict, place)
    ), arrays as materialized (
      select array_agg(g.queue order by g.place) as queue, array_agg(g.task order by g.place) as task,
        array_agg(coalesce(g.args, '{}') order by g.place) as args, array_agg(g.priority order by g.place) as priority,
        array_agg(extract(epoch from g.delay)::float8 order by g.place) as delay, array_agg(g.run_at order by g.place) as run_at,
        array_agg(g.max_retries order by g.place) as max_retries,
        array_agg(ceil(extract(epoch from g.timeout) * 1000)::integer order by g.place) as timeout_ms,
        array_agg({schema}.more_of(g.headers, g.tags) order by g.place) as more,
        array_agg({schema}.key_of(g.key, g.scope, g.period, g.on_conflict) order by g.place) as key
      from given g
    )
    select k.id, k.outcome, k.place
    from arrays a, {schema}.enqueue_keyed(a.queue, a.task, a.args, a.priority, a.delay, a.run_at, a.max_retries, a.timeout_ms,
      a.more, a.key) with ordinality k(id, outcome, place)
    order by k.place
  loop
    if answer.outcome = 'refused' then
      raise exception 'job %: % its key. Wait until it is free, or pass on_conflict ''skip''.', answer.place,
        case answer.id when 0 then 'another one of these jobs has' else format('Job %s holds', answer.id) end
        using errcode = 'unique_violation';
    end if;
    "position" := answer.place;
    id := answer.id;
    created := answer.outcome = 'created';
    return next;
  end loop;
end $$;

comment on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text) is 'Enqueue a job in this transaction; returns its id, or the id of the job that holds the key.';
