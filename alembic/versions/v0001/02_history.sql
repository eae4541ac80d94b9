-- History: append-only, one partition a UTC day, retired by DETACH CONCURRENTLY and DROP.

create table {schema}.job_history (
  id          bigint      not null,
  finished_at timestamptz not null,
  run_at      timestamptz not null,
  enqueued_at timestamptz not null,
  started_at  timestamptz,
  worker_id   bigint,
  run         integer     not null,
  timeout_ms  integer     not null,
  max_retries smallint    not null,
  attempt     smallint    not null,
  crashes     smallint    not null,
  priority    smallint    not null,
  has_key     boolean     not null,
  state       text        not null check (state in ('succeeded', 'dead', 'cancelled', 'expired')),
  queue       text        not null,
  task        text        not null,
  args        jsonb,
  body        bytea,
  codec       text,
  headers     jsonb,
  tags        text[],
  metadata    jsonb,
  retry       jsonb,
  deadline    timestamptz,
  expires_at  timestamptz,
  group_key   text,
  schedule    text,
  tick        timestamptz,
  result      jsonb,
  error       jsonb,
  primary key (id, finished_at)
) partition by range (finished_at);

-- Runs that did not end their job, and last runs of jobs that an operator brought back.
create table {schema}.job_attempt (
  job_id     bigint      not null,
  run        integer     not null,
  ended_at   timestamptz not null,
  started_at timestamptz,
  worker_id  bigint,
  attempt    smallint    not null,
  outcome    text        not null,
  error      jsonb,
  primary key (job_id, run, ended_at)
) partition by range (ended_at);

-- No default partition: it forbids DETACH CONCURRENTLY and blocks the missing day.
-- LIKE + ATTACH, because CREATE ... PARTITION OF would lock the parent against every finisher.
create function {schema}.make_partition(p_table text, p_day date) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  partition text := p_table || '_' || to_char(p_day, 'YYYYMMDD');
begin
  if to_regclass(format('{schema}.%I', partition)) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('{schema}.make_partition', 0));
  if to_regclass(format('{schema}.%I', partition)) is not null then
    return;
  end if;
  execute format('create table {schema}.%I (like {schema}.%I including defaults including constraints)', partition, p_table);
  execute format('alter table {schema}.%I attach partition {schema}.%I for values from (%L) to (%L)',
    p_table, partition, p_day || ' 00:00:00+00', (p_day + 1) || ' 00:00:00+00');
end $$;

create function {schema}.make_partitions(p_days_ahead integer default 14) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  today date := (clock_timestamp() at time zone 'UTC')::date;
  day date;
begin
  for day in select today + ahead from generate_series(0, least(greatest(p_days_ahead, 0), 366)) as ahead loop
    perform {schema}.make_partition('job_history', day);
    perform {schema}.make_partition('job_attempt', day);
  end loop;
end $$;

select {schema}.make_partitions();
