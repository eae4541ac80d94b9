-- Queues, workers, signals, operators, schedules.

create table {schema}.queue (
  name       text        primary key check (name <> ''),
  generation bigint      not null default 0,
  paused_at  timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  settings   jsonb       not null default '{}'
);

-- An id is used once; a beat never brings a deleted row back.
create table {schema}.worker (
  id          bigint      primary key,
  name        text        not null,
  hostname    text        not null,
  pid         integer     not null,
  version     text        not null,
  queues      text[]      not null,
  concurrency integer     not null,
  started_at  timestamptz not null default clock_timestamp(),
  beat        bigint      not null default 0,
  beat_at     timestamptz not null default clock_timestamp(),
  suspect_job bigint,
  suspect_run integer
) with (fillfactor = 50);

-- Every worker that ever was, as long as history is kept: who is behind a worker_id.
create table {schema}.worker_log (
  id         bigint      primary key,
  name       text        not null,
  hostname   text        not null,
  pid        integer     not null,
  version    text        not null,
  queues     text[]      not null,
  started_at timestamptz not null default clock_timestamp()
);

-- Who would miss a new job without a notification. nap: the longest time until it looks by itself.
create unlogged table {schema}.worker_idle (
  queue     text     not null,
  worker_id bigint   not null,
  nap       interval not null,
  primary key (queue, worker_id)
);

create table {schema}.job_signal (
  id         bigint      generated always as identity primary key,
  job_id     bigint      not null,
  run        integer     not null,
  kind       text        not null check (kind in ('cancel')),
  created_at timestamptz not null default clock_timestamp()
);
create index job_signal_job on {schema}.job_signal (job_id);

create unlogged table {schema}.job_progress (
  job_id     bigint      primary key,
  run        integer     not null,
  done       real,
  note       text,
  updated_at timestamptz not null default clock_timestamp()
);

create table {schema}.operator_action (
  id      bigint      generated always as identity primary key,
  at      timestamptz not null default clock_timestamp(),
  actor   text        not null,
  action  text        not null,
  job_id  bigint,
  queue   text,
  outcome text        not null,
  detail  jsonb
);
create index operator_action_job on {schema}.operator_action (job_id) where job_id is not null;

create table {schema}.schedule (
  key             text        primary key,
  origin          text        not null,
  spec            text        not null,
  canonical       text        not null,
  tz              text        not null default 'UTC',
  dst             text        not null,
  template        jsonb       not null,
  tags            text[],
  overlap         text        not null,
  catch_up        text        not null,
  catch_up_window interval,
  catch_up_limit  integer,
  grace           interval    not null default '60 s',
  jitter          interval    not null default '0 s',
  starts_at       timestamptz,
  ends_at         timestamptz,
  max_runs        bigint,
  runs            bigint      not null default 0,
  paused_at       timestamptz,
  anchor_at       timestamptz,
  revision        bigint      not null default 1,
  last_tick       timestamptz,
  next_tick       timestamptz,
  computed_with   text
);
create index schedule_due on {schema}.schedule (next_tick) where paused_at is null and next_tick is not null;

create table {schema}.schedule_tick (
  schedule      text        not null,
  tick          timestamptz not null,
  outcome       text        not null check (outcome in ('enqueued', 'skipped_overlap', 'missed', 'coalesced', 'suppressed')),
  job_id        bigint,
  decided_at    timestamptz not null default clock_timestamp(),
  decided_by    text        not null,
  skipped_count integer     not null default 0,
  primary key (schedule, tick)
);

-- Where these jobs belong. A restored copy finds another system or database here, and its workers refuse to run the jobs
-- until somebody adopts it.
create table {schema}.home (
  one               boolean     primary key default true check (one),
  system_identifier bigint      not null,
  database_oid      bigint      not null,
  adopted_at        timestamptz not null default clock_timestamp()
);

create function {schema}.actor() returns text language sql stable as $$
  select coalesce(nullif(current_setting('pgqueue.actor', true), ''), session_user::text)
$$;

create function {schema}.adopt() returns boolean language sql volatile as $$
  with here as (
    select s.system_identifier, d.oid::bigint as database_oid
    from pg_control_system() s, pg_database d where d.datname = current_database()
  ), recorded as (
    insert into {schema}.operator_action (actor, action, outcome) values ({schema}.actor(), 'adopt', 'adopted')
  )
  insert into {schema}.home (system_identifier, database_oid) select h.system_identifier, h.database_oid from here h
  on conflict (one) do update set (system_identifier, database_oid, adopted_at) =
    (excluded.system_identifier, excluded.database_oid, clock_timestamp())
  returning true
$$;
insert into {schema}.home (system_identifier, database_oid)
select s.system_identifier, d.oid::bigint from pg_control_system() s, pg_database d where d.datname = current_database();
