-- Roles: producer, worker, auditor, admin. Nobody may call a function to whom no role was granted.

-- By name: the schema may hold functions that are not ours.
do $$
declare
  ours regprocedure;
begin
  for ours in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = '{schema}'::regnamespace and p.proname = any(array[
      'refuse_truncate', 'make_partition', 'make_partitions', 'actor', 'adopt', 'channel', 'wake', 'cancel_jobs', 'cancel', 'retry',
      'pause', 'resume', 'unique_key', 'enqueue_jobs', 'write_jobs', 'replace_job', 'take_key', 'enqueue_keyed', 'check_job', 'check_queue', 'more_of', 'key_of',
      'enqueue', 'field_problem', 'enqueue_many', 'job_states'])
  loop
    execute format('revoke execute on function %s from public', ours);
  end loop;
end $$;

-- Drop a partition of history that is over, for a worker that does not own it: it cannot detach CONCURRENTLY. Gives up
-- after a moment rather than stall the finishers behind an auditor's open report.
--   rows locked the parent, exclusively, for as long as a detach takes
create function {schema}.retire_partition(p_partition text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
  parent text := substring(p_partition from '^(job_history|job_attempt)_[0-9]{8}$');
begin
  if parent is null or to_date(right(p_partition, 8), 'YYYYMMDD') >= (now() at time zone 'UTC')::date - 90 then
    raise exception '% is not a partition of history that is over. Pass one that is wholly older than 90 days.', quote_literal(p_partition)
      using errcode = 'invalid_parameter_value';
  end if;
  execute format('alter table {schema}.%I detach partition {schema}.%I', parent, p_partition);
  execute format('drop table {schema}.%I', p_partition);
  insert into {schema}.operator_action (actor, action, outcome) values ({schema}.actor(), 'retire', p_partition);
end $$;
revoke execute on function {schema}.retire_partition from public;

-- What each role may do; tables include views. Privileges that this server does not know are left out.
create function {schema}.role_grants() returns table (roles text[], privileges text, kind text, objects text[])
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
revoke execute on function {schema}.role_grants from public;

-- Grant a role of ours to a role of the database, or take it away. Call it again after a migration.
--   result      how many privileges were granted or taken
create function {schema}.change_access(p_role text, p_name text, p_grant boolean) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  item record;
  changed integer := 0;
  schema_name text := (select n.nspname from pg_namespace n where n.oid = '{schema}'::regnamespace);
  verb text := case when p_grant then 'grant %s on %s %I.%I to %I' else 'revoke %s on %s %I.%I from %I' end;
begin
  if p_role is null or p_role not in ('producer', 'worker', 'auditor', 'admin') then
    raise exception '% is not a role. The roles are producer, worker, auditor and admin.', coalesce(quote_literal(p_role), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if not exists (select from pg_roles r where r.rolname = p_name) then
    raise exception 'role % does not exist: create role ... login', coalesce(quote_literal(p_name), 'null')
      using errcode = 'undefined_object';
  end if;
  if p_grant then
    execute format('grant usage on schema %I to %I', schema_name, p_name);
  end if;
  for item in
    select g.privileges, g.kind, o.object from {schema}.role_grants() g, unnest(g.objects) o(object)
    where p_role = any(g.roles) and g.privileges is not null
  loop
    execute format(verb, item.privileges, item.kind, schema_name, item.object, p_name);
    changed := changed + 1;
  end loop;
  insert into {schema}.operator_action (actor, action, outcome, detail)
  values ({schema}.actor(), case when p_grant then 'grant' else 'revoke' end, p_role || ' ' || p_name, jsonb_build_object('role', p_role, 'name', p_name));
  return changed;
end $$;
revoke execute on function {schema}.change_access from public;

create function {schema}.grant_access(role text, name text) returns integer language sql volatile set search_path = pg_catalog, pg_temp as $$
  select {schema}.change_access(role, name, true)
$$;
revoke execute on function {schema}.grant_access from public;

create function {schema}.revoke_access(role text, name text) returns integer language sql volatile set search_path = pg_catalog, pg_temp as $$
  select {schema}.change_access(role, name, false)
$$;
revoke execute on function {schema}.revoke_access from public;
