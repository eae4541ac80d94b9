-- Keys: who may run once. The table stands since 0001.

-- Expired keys are swept; most keys have no end.
create index job_key_until on {schema}.job_key (until) where until < 'infinity';

-- The key of a task and its arguments, or of some of them. The one place where it is computed.
create function {schema}.unique_key(task text, args jsonb default '{}', names text[] default null) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select 'unique:' || encode(sha256(convert_to(task || chr(10) || coalesce((
    select jsonb_object_agg(e.key, e.value) from jsonb_each(args) e where names is null or e.key = any(names)
  ), '{}')::text, 'UTF8')), 'hex')
$$;

-- An operator may act under any name; the database role that did it stands beside it.
alter table {schema}.operator_action add column role text;  -- null: before this revision
alter table {schema}.operator_action alter column role set default session_user;

-- What no job may hold, whoever writes it: a role that may call enqueue_jobs or COPY passes by the sentences of check_job.
-- One constraint, for each costs an enqueue of one job some microseconds.
alter table {schema}.job add constraint job_is_within_bounds check (
  length(task) <= 200 and length(queue) <= 100 and run_at >= '0001-01-01 00:00+00' and run_at < '10000-01-01 00:00+00'
  and (args is null or jsonb_typeof(args) = 'object' and pg_column_size(args) <= 16777216)
  and (body is null) = (codec is null) and (headers is null or jsonb_typeof(headers) = 'object'));
