-- End a running job as succeeded in the transaction of its handler, under the fence of its run: job, run and lease.
--   parameters  p_ago: seconds since the handler was called; p_result: what the job returns
--   result      false when the job is not this run's any more; then nothing changed
--   rows locked job_key, job (waits)
--   states      running -> succeeded
--   index       lease_pkey, job_pkey, job_key_job
create function {schema}.complete(p_job bigint, p_run integer, p_lease bigint, p_ago float8, p_result jsonb) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  ended {schema}.job;
  worker bigint;
begin
  perform {schema}.make_partitions(0);
  perform from {schema}.job_key k where k.job_id = p_job order by k.queue, k.key for update;
  select l.worker_id into worker from {schema}.lease l where l.id = p_lease and p_job = any(l.job_ids);
  delete from {schema}.job j where j.id = p_job and j.run = p_run and worker is not null returning * into ended;
  if not found then
    return false;
  end if;
  insert into {schema}.job_history (id, finished_at, run_at, enqueued_at, started_at, worker_id, run, timeout_ms, max_retries,
    attempt, crashes, priority, has_key, state, queue, task, args, body, codec, headers, tags, metadata, retry, deadline,
    expires_at, group_key, schedule, tick, result)
  values (ended.id, clock_timestamp(), ended.run_at, ended.enqueued_at, clock_timestamp() - p_ago * interval '1 s', worker,
    ended.run, ended.timeout_ms, ended.max_retries, ended.attempt + 1, ended.crashes, ended.priority, ended.has_key, 'succeeded',
    ended.queue, ended.task, ended.args, ended.body, ended.codec, ended.headers, ended.tags, ended.metadata, ended.retry,
    ended.deadline, ended.expires_at, ended.group_key, ended.schedule, ended.tick, p_result);
  delete from {schema}.job_key k where k.job_id = p_job and k.scope in ('started', 'finished');
  delete from {schema}.job_checkpoint c where c.job_id = p_job;
  return true;
end $$;
revoke execute on function {schema}.complete from public;
