-- Enqueue: jobs that share a key, jobs stored by a codec, many jobs from SQL. Replaces what 0001 made.

drop function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[]),
  {schema}.check_job(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[]),
  {schema}.enqueue_jobs(text[], text[], jsonb[], integer[], float8[], timestamptz[], integer[], integer[], jsonb[]);

-- Write jobs and their places.
--   parameters  parallel arrays; a null element means the default; p_id null: drawn here, else drawn before by
--               enqueue_keyed; p_more: headers, tags, metadata,
--               retry, deadline, expires_at, has_key, and codec with body (base64) instead of args
--   result      ids in the order given
--   rows locked none but the new ones
--   states      - -> ready | scheduled; decided once, by the clock at the write of the job
--   index       none
create function {schema}.write_jobs(
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

-- Write jobs and their places, as write_jobs, under ids of their own: what every enqueue without keys ends in.
create function {schema}.enqueue_jobs(
  p_queue text[], p_task text[], p_args jsonb[], p_priority integer[], p_delay float8[], p_run_at timestamptz[],
  p_max_retries integer[], p_timeout_ms integer[], p_more jsonb[]
) returns setof bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query select {schema}.write_jobs(p_queue, p_task, p_args, p_priority, p_delay, p_run_at, p_max_retries, p_timeout_ms, p_more, null);
end $$;

-- Put new contents into a waiting job; its place follows its new time. Its key stays held as it was taken.
--   result      false when the job runs or has ended: then nothing changed
--   rows locked job (waits); the caller holds its key
--   states      ready | scheduled -> ready | scheduled
--   index       job_pkey, scheduled_order; a ready entry is left to vanish at the claim
create function {schema}.replace_job(
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

-- Take a key for a job, or find who holds it. Looks before it writes, so that a conflict takes no lock; under a snapshot
-- that may be old it locks, and a key that was freed since is a serialization failure instead of a wrong answer. Neither the
-- statistics of a moment with few keys nor a caller's collation may make it read the whole table for each key of a batch.
--   result      the holder: p_id when the key is taken now
--   rows locked job_key: the new row; with p_lock the holder's (waits); another open transaction with the same key is waited for
--   states      none
--   index       job_key_pkey
create function {schema}.take_key(p_queue text, p_key text, p_id bigint, p_scope text, p_seconds float8, p_lock boolean)
returns bigint language plpgsql volatile set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  holder bigint;
begin
  loop
    if p_lock then
      select k.job_id into holder from {schema}.job_key k
      where k.queue = p_queue collate "default" and k.key = p_key collate "default" and k.until > clock_timestamp() for update;
    else
      select k.job_id into holder from {schema}.job_key k
      where k.queue = p_queue collate "default" and k.key = p_key collate "default" and k.until > clock_timestamp();
    end if;
    if found then
      return holder;
    end if;
    insert into {schema}.job_key as k (queue, key, job_id, scope, until)
    values (p_queue, p_key, p_id, p_scope, coalesce(clock_timestamp() + p_seconds * interval '1 s', 'infinity'))
    on conflict (queue, key) do update set (job_id, scope, until) = (excluded.job_id, excluded.scope, excluded.until)
    where k.until <= clock_timestamp();
    if found then
      return p_id;
    end if;
  end loop;  -- somebody took it between the look and the insert: the next look sees who
end $$;

-- Write jobs of which some share a key with a live one. Keys are taken in their order, so that two batches never wait for
-- each other; of equal keys in a batch one wins: the last that replaces, else the first.
--   parameters  as enqueue_jobs; p_key: null, or {key | names, scope, seconds, on_conflict: skip | raise | replace}
--   result      per job, in the order given: its id or the holder's, and created | held | replaced | refused;
--               when one is refused, nothing is written; its id is 0 when another one of the same call has the key
--   rows locked job_key (waits for open transactions with the same key), job of a replaced one (waits)
--   states      - -> ready | scheduled; ready | scheduled -> ready | scheduled
--   index       job_key_pkey, job_pkey
create function {schema}.enqueue_keyed(
  p_queue text[], p_task text[], p_args jsonb[], p_priority integer[], p_delay float8[], p_run_at timestamptz[],
  p_max_retries integer[], p_timeout_ms integer[], p_more jsonb[], p_key jsonb[]
) returns table (id bigint, outcome text) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  ids bigint[] := array(select nextval('{schema}.job_id_seq') from generate_subscripts(p_task, 1));
  holders bigint[] := ids;
  outcomes text[] := array_fill('created'::text, array[coalesce(array_length(p_task, 1), 0)]);
  more jsonb[] := p_more;
  stale boolean := current_setting('transaction_isolation') <> 'read committed';
  winner bigint;
  item record;
begin
  if stale and exists (select from unnest(p_key) k(key) where k.key ->> 'on_conflict' = 'replace') then
    raise exception 'on_conflict ''replace'' needs READ COMMITTED, for an older snapshot does not see who runs the job. Use ''skip'', or another transaction.'
      using errcode = 'invalid_parameter_value';
  end if;
  if exists (select from unnest(p_args, p_key) k(args, key) where not k.key ? 'key' and k.args is null) then
    raise exception 'A job that a codec stores cannot be unique by its arguments, which the database cannot read. Pass key.'
      using errcode = 'invalid_parameter_value';
  end if;
  for item in
    select w.*, row_number() over (partition by w.queue collate "C", w.key collate "C"
      order by case when w.on_conflict = 'replace' then -w.ord else w.ord end) = 1 as wins
    from (
      select k.ord, coalesce(k.queue, 'default') as queue,
        coalesce(k.key ->> 'key', {schema}.unique_key(k.task, k.args,
          case when k.key ? 'names' then array(select jsonb_array_elements_text(k.key -> 'names')) end)) as key,
        coalesce(k.key ->> 'scope', 'finished') as scope, coalesce(k.key ->> 'on_conflict', 'skip') as on_conflict,
        coalesce((k.key ->> 'seconds')::float8, case when k.key ->> 'scope' = 'retention' then 7776000 end) as seconds
      from unnest(p_queue, p_task, p_args, p_key) with ordinality k(queue, task, args, key, ord) where k.key is not null
    ) w
    order by w.queue collate "default", w.key collate "default", wins desc, w.ord  -- as cancel_jobs locks them
  loop
    if item.wins then
      winner := {schema}.take_key(item.queue, item.key, ids[item.ord], item.scope, item.seconds, stale or item.on_conflict = 'replace');
    end if;
    holders[item.ord] := winner;
    if item.scope in ('started', 'finished') then
      more[item.ord] := coalesce(more[item.ord], '{}') || '{"has_key": true}';
    end if;
    if winner <> ids[item.ord] then
      if item.on_conflict = 'raise' and winner = any(ids) then
        holders[item.ord] := 0;  -- another one of the same call, which is not written either
      end if;
      outcomes[item.ord] := case
        when item.on_conflict = 'raise' then 'refused'
        when item.on_conflict = 'replace' and item.wins then 'replaced'
        else 'held' end;
    end if;
  end loop;
  if 'refused' = any(outcomes) then
    delete from {schema}.job_key k where k.job_id = any(ids);
  else
    for item in select o.ord from unnest(outcomes) with ordinality o(outcome, ord) where o.outcome = 'replaced' order by holders[o.ord] loop
      if not {schema}.replace_job(holders[item.ord], p_task[item.ord], p_args[item.ord], p_priority[item.ord], p_delay[item.ord],
          p_run_at[item.ord], p_max_retries[item.ord], p_timeout_ms[item.ord], more[item.ord]) then
        outcomes[item.ord] := 'held';
      end if;
    end loop;
    perform {schema}.write_jobs(
      array_agg(o.queue order by o.ord), array_agg(o.task order by o.ord), array_agg(o.args order by o.ord),
      array_agg(o.priority order by o.ord), array_agg(o.delay order by o.ord), array_agg(o.run_at order by o.ord),
      array_agg(o.max_retries order by o.ord), array_agg(o.timeout_ms order by o.ord),
      array_agg(o.more order by o.ord), array_agg(o.id order by o.ord))
    from unnest(outcomes, p_queue, p_task, p_args, p_priority, p_delay, p_run_at, p_max_retries, p_timeout_ms, more, ids)
      with ordinality o(outcome, queue, task, args, priority, delay, run_at, max_retries, timeout_ms, more, id, ord)
    where o.outcome = 'created';
  end if;
  return query select r.id, r.outcome from unnest(holders, outcomes) with ordinality r(id, outcome, ord) order by r.ord;
end $$;
