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
alter table {schema}.job
  add constraint job_task_is_short check (length(task) <= 200),
  add constraint job_queue_is_short check (length(queue) <= 100),
  add constraint job_args_are_an_object check (jsonb_typeof(args) = 'object'),
  add constraint job_args_are_not_large check (pg_column_size(args) <= 16777216),
  add constraint job_body_has_a_codec check ((body is null) = (codec is null)),
  add constraint job_headers_are_an_object check (jsonb_typeof(headers) = 'object'),
  add constraint job_run_at_is_in_the_calendar check (run_at >= '0001-01-01 00:00+00' and run_at < '10000-01-01 00:00+00');
