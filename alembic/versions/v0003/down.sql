-- Drops what revision 0003 made; what it replaced was made again before.
drop function {schema}.complete(bigint, integer, bigint, float8, jsonb);
drop table {schema}.job_checkpoint;
alter table {schema}.home drop column least_protocol;
alter table {schema}.worker add column suspect_job bigint, add column suspect_run integer;
alter table {schema}.lease drop column started;

alter table {schema}.job drop constraint job_times_are_finite;

do $$
declare
  grantee name;
  holders name[] := array(
    select r.rolname from pg_proc p, aclexplode(p.proacl) a join pg_roles r on r.oid = a.grantee
    where p.oid = '{schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz)'::regprocedure and r.oid <> p.proowner
  );
begin
  revoke execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text), {schema}.more_of(jsonb, text[]) from public;
  foreach grantee in array holders loop
    execute format('grant execute on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text) to %I', grantee);
  end loop;
  drop function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz), {schema}.more_of(jsonb, text[], timestamptz, timestamptz), {schema}.check_times(timestamptz, timestamptz, text);
end $$;

comment on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text) is 'Enqueue a job in this transaction; returns its id, or the id of the job that holds the key.';
