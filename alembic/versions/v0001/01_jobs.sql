-- Jobs: one row for the facts, narrow lanes for the place (docs/decisions/0001-lanes.md).

-- Written once, deleted once; updated only when a run ended without ending the job. Wide columns stand last.
create table {schema}.job (
  id          bigint      generated always as identity primary key,
  run_at      timestamptz not null,
  enqueued_at timestamptz not null default clock_timestamp(),
  run         integer     not null default 1,
  timeout_ms  integer     not null check (timeout_ms > 0),
  max_retries smallint    not null check (max_retries between 0 and 32766),
  attempt     smallint    not null default 0,
  crashes     smallint    not null default 0,
  priority    smallint    not null check (priority between 0 and 9),
  has_key     boolean     not null default false,
  queue       text        not null check (queue <> ''),
  task        text        not null check (task <> ''),
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
  check ((args is null) <> (body is null))
);

-- Owned by nobody and CACHE 1: TRUNCATE ... RESTART IDENTITY or cached values would put jobs below every cursor.
create sequence {schema}.ready_seq cache 1;

create table {schema}.ready (
  queue    text     not null,
  priority smallint not null,
  seq      bigint   not null default nextval('{schema}.ready_seq'),
  job_id   bigint   not null,
  run      integer  not null
);
create index ready_order on {schema}.ready (queue, priority, seq);

create table {schema}.scheduled (
  queue  text        not null,
  due_at timestamptz not null,
  job_id bigint      not null,
  run    integer     not null
);
create index scheduled_order on {schema}.scheduled (queue, due_at, job_id);

-- One row a claim. Its id is made at random by the worker before it claims.
create table {schema}.lease (
  id         bigint      primary key,
  worker_id  bigint      not null,
  claimed_at timestamptz not null default clock_timestamp(),
  job_ids    bigint[]    not null,
  runs       integer[]   not null
);

-- A publication FOR ALL TABLES would else stop every claim.
alter table {schema}.ready replica identity full;
alter table {schema}.scheduled replica identity full;

create function {schema}.refuse_truncate() returns trigger language plpgsql as $$
begin
  raise exception 'TRUNCATE of %.% would leave jobs without a place', tg_table_schema, tg_table_name
    using errcode = 'object_not_in_prerequisite_state',
          hint = 'Cancel the jobs with ' || quote_ident(tg_table_schema) || '.cancel(id), or drop the schema.';
end $$;
create trigger refuse_truncate before truncate on {schema}.job       execute function {schema}.refuse_truncate();
create trigger refuse_truncate before truncate on {schema}.ready     execute function {schema}.refuse_truncate();
create trigger refuse_truncate before truncate on {schema}.scheduled execute function {schema}.refuse_truncate();
create trigger refuse_truncate before truncate on {schema}.lease     execute function {schema}.refuse_truncate();

-- Uniqueness and the caller's own id: they outlive the live row, so no partial index can hold them.
create table {schema}.job_key (
  queue  text        not null,
  key    text        not null,
  job_id bigint      not null,
  scope  text        not null default 'finished' check (scope in ('started', 'finished', 'retention', 'ttl')),
  until  timestamptz not null default 'infinity',
  primary key (queue, key)
);
create index job_key_job on {schema}.job_key (job_id);
