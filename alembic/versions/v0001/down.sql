-- Drops everything that revision 0001 made. The schema itself stays: it may hold what others put there.
drop view {schema}.misplaced_jobs, {schema}.queue_stats, {schema}.all_attempts, {schema}.all_jobs;
drop function {schema}.adopt(), {schema}.resume(text), {schema}.pause(text), {schema}.retry(bigint), {schema}.cancel(bigint),
  {schema}.cancel_jobs(bigint[]), {schema}.actor(),
  {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[]),
  {schema}.check_job(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[]),
  {schema}.enqueue_jobs(text[], text[], jsonb[], integer[], float8[], timestamptz[], integer[], integer[], jsonb[]),
  {schema}.wake(text, timestamptz), {schema}.channel(), {schema}.make_partitions(integer), {schema}.make_partition(text, date);
drop table {schema}.home, {schema}.schedule_tick, {schema}.schedule, {schema}.operator_action, {schema}.job_progress, {schema}.job_signal,
  {schema}.worker_idle, {schema}.worker_log, {schema}.worker, {schema}.queue, {schema}.job_attempt, {schema}.job_history, {schema}.job_key,
  {schema}.lease, {schema}.scheduled, {schema}.ready, {schema}.job;
drop sequence {schema}.ready_seq;
drop function {schema}.refuse_truncate();
