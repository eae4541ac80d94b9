-- Operators' verbs run with the rights of the owner, so that a role needs no more than the right to call them.

alter function {schema}.cancel_jobs(bigint[]) security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.cancel(bigint) security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.retry(bigint) security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.adopt() security definer set search_path = pg_catalog, pg_temp;
-- pg_temp last, and so named: else a type that a caller puts there under the name of ours would run with the owner's rights.
alter function {schema}.make_partition(text, date) set search_path = pg_catalog, pg_temp;
alter function {schema}.make_partitions(integer) set search_path = pg_catalog, pg_temp;

-- Suspend and take up claims; a name that no queue can have is refused with a sentence.
create function {schema}.check_queue(p_queue text) returns void language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_queue is null or p_queue = '' or length(p_queue) > 100 then
    raise exception 'queue must be 1 to 100 characters, not %. Pass the name of a queue.', coalesce(quote_literal(left(p_queue, 200)), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
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

create or replace function {schema}.resume(queue text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform {schema}.check_queue(resume.queue);
  insert into {schema}.queue (name) values (resume.queue) on conflict (name) do update set paused_at = null;
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'resume', resume.queue, 'resumed');
  perform pg_notify({schema}.channel(), 'ready:' || resume.queue);
  return 'resumed';
end $$;

-- Where jobs stand.
--   parameters  ids; xids: parallel, the transaction that enqueued each (null: it is known to be committed)
--   result      id, and its state; uncommitted: that transaction is still open; rolled back; or not found
--   rows locked none
--   states      none
--   index       job_pkey, scheduled_order, job_history_pkey from the newest partition on
create function {schema}.job_states(p_ids bigint[], p_xids bigint[] default null) returns table (id bigint, state text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with held as materialized (
    select x.id, x.run from {schema}.lease l cross join lateral unnest(l.job_ids, l.runs) x(id, run)
    where l.job_ids && p_ids and x.id = any(p_ids)
  )
  select w.id, coalesce(
    case when held.id is not null then 'running' when later.found then 'scheduled' when j.id is not null then 'ready' end,
    ended.state,
    case when w.xid::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot()) then 'uncommitted' end,  -- or of a time to come
    case pg_xact_status(w.xid::text::xid8) when 'in progress' then 'uncommitted' when 'aborted' then 'rolled back' else 'not found' end,
    'not found')
  from unnest(p_ids, p_xids) w(id, xid)
  left join {schema}.job j on j.id = w.id
  left join held on held.id = j.id and held.run = j.run
  left join lateral (
    select true as found from {schema}.scheduled s
    where s.queue = j.queue and s.due_at = j.run_at and s.job_id = j.id and s.run = j.run limit 1
  ) later on true
  left join lateral (
    select h.state from {schema}.job_history h
    where j.id is null and h.id = w.id and h.finished_at <= statement_timestamp() + interval '1 hour'  -- not the days ahead
    order by h.finished_at desc limit 1
  ) ended on true
$$;
