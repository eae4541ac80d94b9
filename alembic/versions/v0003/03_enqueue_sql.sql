-- Enqueue from SQL takes a deadline and a time to expire. Grants on what is made anew are kept.

-- A claim computes with them, so they have to be times that it can compute with.
alter table {schema}.job add constraint job_times_are_finite check (
  coalesce(deadline >= '0001-01-01 00:00+00' and deadline < '10000-01-01 00:00+00', true)
  and coalesce(expires_at >= '0001-01-01 00:00+00' and expires_at < '10000-01-01 00:00+00', true)
);

-- Refuse times that no clock shows.
create function {schema}.check_times(p_deadline timestamptz, p_expires_at timestamptz, p_place text default '') returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  problem text := case
    when p_deadline < '0001-01-01 00:00+00' or p_deadline >= '10000-01-01 00:00+00'
      then format('deadline %s is not between the years 1 and 9999. Leave it out for none.', p_deadline)
    when p_expires_at < '0001-01-01 00:00+00' or p_expires_at >= '10000-01-01 00:00+00'
      then format('expires_at %s is not between the years 1 and 9999. Leave it out for never.', p_expires_at)
  end;
begin
  if problem is not null then
    raise exception '%', p_place || problem using errcode = 'invalid_parameter_value';
  end if;
end $$;
revoke execute on function {schema}.check_times from public;

-- What enqueue_jobs takes as "more", from SQL's parameters.
create function {schema}.more_of(p_headers jsonb, p_tags text[], p_deadline timestamptz, p_expires_at timestamptz) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select nullif(jsonb_strip_nulls(jsonb_build_object('headers', nullif(p_headers, '{}'), 'tags', to_jsonb(nullif(p_tags, '{}')),
    'deadline', p_deadline, 'expires_at', p_expires_at)), '{}')
$$;

-- Enqueue a job in this transaction.
--   parameters  as the options in Python
--   result      its id, or with a key that is held the id of the job that holds it
--   rows locked with a key: see enqueue_keyed
--   states      - -> ready | scheduled
--   index       none; with a key: job_key_pkey
create function {schema}.enqueue(
  task text, args jsonb default '{}', queue text default null, priority integer default null, delay interval default null,
  run_at timestamptz default null, max_retries integer default null, timeout interval default null,
  headers jsonb default null, tags text[] default null,
  key text default null, scope text default null, period interval default null, on_conflict text default null,
  deadline timestamptz default null, expires_at timestamptz default null
) returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  answer record;
begin
  perform {schema}.check_job(task, args, queue, priority, delay, run_at, max_retries, timeout, headers, tags,
    key, scope, period, on_conflict);
  perform {schema}.check_times(deadline, expires_at);
  if key is null then
    return (select {schema}.enqueue_jobs(array[queue], array[task], array[args], array[priority],
      array[extract(epoch from delay)::float8], array[run_at], array[max_retries],
      array[ceil(extract(epoch from timeout) * 1000)::integer], array[{schema}.more_of(headers, tags, deadline, expires_at)]));
  end if;
  select k.id, k.outcome into answer from {schema}.enqueue_keyed(array[queue], array[task], array[args], array[priority],
    array[extract(epoch from delay)::float8], array[run_at], array[max_retries],
    array[ceil(extract(epoch from timeout) * 1000)::integer], array[{schema}.more_of(headers, tags, deadline, expires_at)],
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
    where p.oid = '{schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text)'::regprocedure and r.oid <> p.proowner
  );
begin
  revoke execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz), {schema}.more_of(jsonb, text[], timestamptz, timestamptz) from public;
  foreach grantee in array holders loop
    execute format('grant execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz) to %I', grantee);
  end loop;
  drop function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text), {schema}.more_of(jsonb, text[]);
end $$;

-- Refuse what is no parameter of enqueue, or no value of its type.
create or replace function {schema}.field_problem(p_name text, p_value jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_name not in ('task', 'args', 'queue', 'priority', 'delay', 'run_at', 'max_retries', 'timeout', 'headers', 'tags', 'key',
        'scope', 'period', 'on_conflict', 'deadline', 'expires_at')
      then format('%s is not a parameter of enqueue. Its parameters are task, args, queue, priority, delay, run_at, max_retries, '
        'timeout, headers, tags, key, scope, period, on_conflict, deadline and expires_at.', quote_literal(left(p_name, 200)))
    when jsonb_typeof(p_value) = 'null' then null
    when p_name in ('task', 'queue', 'key', 'scope', 'on_conflict') and jsonb_typeof(p_value) <> 'string'
      then format('%s must be text, not %s. Write it in quotes.', p_name, left(p_value::text, 200))
    when p_name in ('priority', 'max_retries')
        and (jsonb_typeof(p_value) <> 'number' or not pg_input_is_valid(p_value #>> '{}', 'integer'))
      then format('%s must be a whole number, not %s. Leave it out for the default.', p_name, left(p_value::text, 200))
    when p_name in ('delay', 'timeout', 'period')
        and (jsonb_typeof(p_value) not in ('string', 'number') or not pg_input_is_valid(p_value #>> '{}', 'interval'))
      then format('%s must be a length of time, not %s. Write it as "10 s", "1 hour" or in seconds.', p_name, left(p_value::text, 200))
    when p_name in ('run_at', 'deadline', 'expires_at') and (jsonb_typeof(p_value) <> 'string' or not pg_input_is_valid(p_value #>> '{}', 'timestamptz'))
      then format('%s must be a time, not %s. Write it as "2030-01-31T12:00:00Z".', p_name, left(p_value::text, 200))
    when p_name = 'tags' and (jsonb_typeof(p_value) <> 'array' or jsonb_path_exists(p_value, 'strict $[*] ? (@.type() <> "string")'))
      then format('tags must be a JSON array of texts, not %s. Leave it out for none.', left(p_value::text, 200))
  end
$$;

-- Enqueue many jobs in this transaction, all or none.
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
        g.headers, g.tags, g.key, g.scope, g.period, g.on_conflict, format('job %s: ', g.place)) is null as checked,
        {schema}.check_times(g.deadline, g.expires_at, format('job %s: ', g.place)) is null as timely
      from rows from (jsonb_to_recordset(jobs) as (task text, args jsonb, queue text, priority integer, delay interval,
          run_at timestamptz, max_retries integer, timeout interval, headers jsonb, tags text[], key text, scope text,
          period interval, on_conflict text, deadline timestamptz, expires_at timestamptz))
        with ordinality as g(task, args, queue, priority, delay, run_at, max_retries, timeout, headers, tags, key, scope, period,
          on_conflict, deadline, expires_at, place)
    ), arrays as materialized (
      select array_agg(g.queue order by g.place) as queue, array_agg(g.task order by g.place) as task,
        array_agg(coalesce(g.args, '{}') order by g.place) as args, array_agg(g.priority order by g.place) as priority,
        array_agg(extract(epoch from g.delay)::float8 order by g.place) as delay, array_agg(g.run_at order by g.place) as run_at,
        array_agg(g.max_retries order by g.place) as max_retries,
        array_agg(ceil(extract(epoch from g.timeout) * 1000)::integer order by g.place) as timeout_ms,
        array_agg({schema}.more_of(g.headers, g.tags, g.deadline, g.expires_at) order by g.place) as more,
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
