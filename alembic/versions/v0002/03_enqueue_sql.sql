-- Enqueue from SQL: the same checks and the same words as from Python.

-- Refuse what no job may hold, with a sentence that says what to do.
create function {schema}.check_job(
  p_task text, p_args jsonb, p_queue text, p_priority integer, p_delay interval, p_run_at timestamptz,
  p_max_retries integer, p_timeout interval, p_headers jsonb, p_tags text[],
  p_key text, p_scope text, p_period interval, p_on_conflict text, p_place text default ''
) returns void language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  problem text := case
    when p_task is null or p_task = '' or length(p_task) > 200
      then format('task must be 1 to 200 characters, not %s. Pass the name under which the worker declares it.', coalesce(quote_literal(left(p_task, 200)), 'null'))
    when p_queue = '' or length(p_queue) > 100
      then format('queue must be 1 to 100 characters, not %s. Leave it out for "default".', quote_literal(left(p_queue, 200)))
    when p_args is null or jsonb_typeof(p_args) <> 'object'
      then format('args must be a JSON object of the task''s parameters by name, not %s. Pass ''{}'' for none.', coalesce(jsonb_typeof(p_args), 'null'))
    when p_priority not between 0 and 9
      then format('priority %s is not between 0 and 9. 9 is served first, 0 is the default.', p_priority)
    when p_delay is not null and p_run_at is not null
      then format('delay %s and run_at %s exclude each other. Pass the relative delay or the absolute run_at.', p_delay, p_run_at)
    when octet_length(p_args::text) > 1048576
      then format('args take %s bytes, and a job holds at most 1048576. Store the data elsewhere and pass its key.', octet_length(p_args::text))
    when extract(epoch from p_delay) not between 0 and 3155760000
      then format('delay %s is not from 0 to 100 years. Leave it out to run at once.', p_delay)
    when p_run_at < '0001-01-01 00:00+00' or p_run_at >= '10000-01-01 00:00+00'
      then format('run_at %s is not between the years 1 and 9999. Leave it out to run at once.', p_run_at)
    when p_max_retries not between 0 and 32766
      then format('max_retries %s is not between 0 and 32766. Pass 0 for a single attempt.', p_max_retries)
    when extract(epoch from p_timeout) not between 0.001 and 2073600
      then format('timeout %s is not between 1 ms and 24 days. Leave it out for 30 minutes.', p_timeout)
    when jsonb_typeof(p_headers) <> 'object'
      or jsonb_path_exists(p_headers, 'strict $.* ? (@.type() <> "string")', silent => true)
      then format('headers must be a JSON object of texts, not %s. Leave it out for none.', left(p_headers::text, 200))
    when array_ndims(p_tags) > 1
      then format('tags must be one list, not %s. Pass texts, or leave it out for none.', left(p_tags::text, 200))
    when array_position(p_tags, null) is not null
      then format('tags must not hold a null, as in %s. Pass texts, or leave it out for none.', left(p_tags::text, 200))
    when p_key = '' or length(p_key) > 200
      then format('key must be 1 to 200 characters, not %s. Leave it out for a job that shares no key.', quote_literal(left(p_key, 200)))
    when p_key is null and (p_scope is not null or p_period is not null or p_on_conflict is not null)
      then format('There is no key that %s could be about. Pass key, for example {schema}.unique_key(task, args).', concat_ws(', ',
        'scope ' || quote_literal(left(p_scope, 200)), 'period ' || p_period, 'on_conflict ' || quote_literal(left(p_on_conflict, 200))))
    when p_scope not in ('started', 'finished', 'retention', 'ttl')
      then format('scope %s is not started, finished, retention or ttl. Leave it out for finished.', quote_literal(left(p_scope, 200)))
    when p_scope = 'ttl' and p_period is null
      then 'scope ''ttl'' needs a period. Pass period, for example ''1 hour''.'
    when extract(epoch from p_period) <= 0 or extract(epoch from p_period) > 3155760000
      then format('period %s is not longer than nothing and up to 100 years. Leave it out to hold the key as long as the scope says.', p_period)
    when p_on_conflict not in ('skip', 'raise', 'replace')
      then format('on_conflict %s is not skip, raise or replace. Leave it out for skip.', quote_literal(left(p_on_conflict, 200)))
  end;
begin
  if octet_length(p_headers::text) > 262144 or octet_length(p_tags::text) > 262144 then  -- about; now exactly
    problem := coalesce(problem, (
      select format('%s take %s bytes, and a job holds at most 262144. Store the data elsewhere and pass its key.', n.name, sum(n.bytes))
      from (
        select 'headers' as name, octet_length(h.name) + octet_length(h.value) as bytes from jsonb_each_text(p_headers) h(name, value)
        union all
        select 'tags', octet_length(t.tag) from unnest(p_tags) t(tag)
      ) n group by n.name having sum(n.bytes) > 262144 limit 1));
  end if;
  if problem is not null then
    raise exception '%', p_place || problem using errcode = 'invalid_parameter_value';
  end if;
end $$;

-- What enqueue_jobs takes as "more", from SQL's parameters.
create function {schema}.more_of(p_headers jsonb, p_tags text[]) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select nullif(jsonb_strip_nulls(jsonb_build_object('headers', nullif(p_headers, '{}'), 'tags', to_jsonb(nullif(p_tags, '{}')))), '{}')
$$;

-- What enqueue_keyed takes as "key", from SQL's parameters. The seconds stay numeric: a float's text is the session's affair.
create function {schema}.key_of(p_key text, p_scope text, p_period interval, p_on_conflict text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_key is not null then jsonb_strip_nulls(jsonb_build_object(
    'key', p_key, 'scope', p_scope, 'seconds', extract(epoch from p_period), 'on_conflict', p_on_conflict)) end
$$;

-- Enqueue a job in this transaction.
--   parameters  as the options in Python; key: text of which at most one live job exists in the queue
--   result      its id, or with a key that is held the id of the job that holds it
--   rows locked with a key: see enqueue_keyed
--   states      - -> ready | scheduled
--   index       none; with a key: job_key_pkey
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

-- Refuse what is no parameter of enqueue, or no value of its type, in the JSON of enqueue_many.
--   result      the problem and what to do; null: there is none
create function {schema}.field_problem(p_name text, p_value jsonb) returns text
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

-- Enqueue many jobs in this transaction, all or none.
--   parameters  a JSON array of objects whose names are the parameters of enqueue
--   result      per job, in the order given: position from 1, id, and whether it was created (false: the key is held)
--   rows locked with keys: see enqueue_keyed
--   states      - -> ready | scheduled
--   index       none; with keys: job_key_pkey
create function {schema}.enqueue_many(jobs jsonb) returns table ("position" bigint, id bigint, created boolean)
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
