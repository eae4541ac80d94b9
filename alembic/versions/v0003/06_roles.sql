-- What each role may do; tables include views. Grant again after the migration.

create or replace function {schema}.role_grants() returns table (roles text[], privileges text, kind text, objects text[])
language sql stable set search_path = pg_catalog, pg_temp as $$
  values
    (array['producer', 'worker'], 'execute', 'function',
      array['enqueue', 'enqueue_many', 'enqueue_jobs', 'enqueue_keyed', 'unique_key', 'job_states', 'complete']),
    (array['auditor', 'admin'], 'execute', 'function', array['unique_key', 'job_states']),
    (array['auditor', 'admin'], 'select', 'table',
      array['all_jobs', 'all_attempts', 'queue_stats', 'misplaced_jobs', 'job_history', 'job_attempt', 'job_key', 'operator_action',
        'queue', 'worker', 'worker_log', 'job_progress', 'job_checkpoint', 'schedule', 'schedule_tick', 'migration']),
    (array['admin'], 'execute', 'function', array['cancel', 'cancel_jobs', 'retry', 'pause', 'resume', 'adopt']),
    (array['worker'], 'execute', 'function', array['channel', 'wake', 'make_partitions', 'retire_partition']),
    (array['worker'], 'usage', 'sequence', array['ready_seq', 'job_id_seq']),
    (array['worker'], 'select, insert, update, delete', 'table',
      array['job', 'ready', 'scheduled', 'lease', 'job_key', 'worker', 'worker_idle', 'worker_log', 'job_signal', 'job_progress',
        'job_checkpoint']),
    (array['worker'], 'select, insert, update', 'table', array['queue']),
    (array['worker'], 'select, insert', 'table', array['job_history', 'job_attempt']),
    (array['worker'], 'select', 'table', array['home']),
    (array['worker'], case when current_setting('server_version_num')::int >= 170000 then 'maintain' end, 'table',
      array['ready', 'scheduled', 'lease', 'job', 'worker', 'worker_idle'])
$$;
