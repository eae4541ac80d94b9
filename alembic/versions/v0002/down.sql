-- Drops what revision 0002 made or replaced; 0001's functions are made again by their own file.
drop function {schema}.revoke_access(text, text), {schema}.grant_access(text, text), {schema}.change_access(text, text, boolean),
  {schema}.role_grants(), {schema}.retire_partition(text), {schema}.job_states(bigint[], bigint[]), {schema}.enqueue_many(jsonb),
  {schema}.field_problem(text, jsonb),
  {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text),
  {schema}.key_of(text, text, interval, text), {schema}.more_of(jsonb, text[]),
  {schema}.check_job(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, text),
  {schema}.enqueue_keyed(text[], text[], jsonb[], integer[], float8[], timestamptz[], integer[], integer[], jsonb[], jsonb[]),
  {schema}.take_key(text, text, bigint, text, float8, boolean),
  {schema}.replace_job(bigint, text, jsonb, integer, float8, timestamptz, integer, integer, jsonb),
  {schema}.enqueue_jobs(text[], text[], jsonb[], integer[], float8[], timestamptz[], integer[], integer[], jsonb[]),
  {schema}.write_jobs(text[], text[], jsonb[], integer[], float8[], timestamptz[], integer[], integer[], jsonb[], bigint[]),
  {schema}.unique_key(text, jsonb, text[]), {schema}.wake(text, timestamptz), {schema}.channel();
alter function {schema}.make_partition(text, date) set search_path = pg_catalog;
alter function {schema}.make_partitions(integer) set search_path = pg_catalog;
alter function {schema}.cancel_jobs(bigint[]) security invoker reset search_path;
alter function {schema}.cancel(bigint) security invoker reset search_path;
alter function {schema}.retry(bigint) security invoker reset search_path;
create or replace function {schema}.pause(queue text) returns text language plpgsql volatile as $$
#variable_conflict use_column
begin
  insert into {schema}.queue (name, paused_at) values (pause.queue, clock_timestamp())
  on conflict (name) do update set paused_at = coalesce({schema}.queue.paused_at, excluded.paused_at);
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'pause', pause.queue, 'paused');
  return 'paused';
end $$;
create or replace function {schema}.resume(queue text) returns text language plpgsql volatile as $$
#variable_conflict use_column
begin
  insert into {schema}.queue (name) values (resume.queue) on conflict (name) do update set paused_at = null;
  insert into {schema}.operator_action (actor, action, queue, outcome) values ({schema}.actor(), 'resume', resume.queue, 'resumed');
  perform pg_notify({schema}.channel(), 'ready:' || resume.queue);
  return 'resumed';
end $$;
drop function {schema}.check_queue(text);
alter function {schema}.adopt() security invoker reset search_path;
alter table {schema}.operator_action drop column role;
alter table {schema}.job drop constraint job_is_within_bounds;
drop index {schema}.job_key_until;
grant execute on function {schema}.refuse_truncate(), {schema}.make_partition(text, date), {schema}.make_partitions(integer),
  {schema}.actor(), {schema}.adopt(), {schema}.cancel_jobs(bigint[]), {schema}.cancel(bigint), {schema}.retry(bigint),
  {schema}.pause(text), {schema}.resume(text) to public;
