-- What a worker keeps of the jobs that it runs: recorded starts of suspects, checkpoints; and which workers are welcome.

-- Ids of held jobs whose start was recorded: if the worker dies now, it may have died of them. Null costs a claim nothing.
alter table {schema}.lease add column started bigint[];
alter table {schema}.worker drop column suspect_job, drop column suspect_run;

-- Workers of an older protocol are refused at their start; a later revision raises it when they would do harm.
alter table {schema}.home add column least_protocol integer not null default 1;

create table {schema}.job_checkpoint (
  job_id  bigint      primary key,
  run     integer     not null,
  value   jsonb       not null,
  kept_at timestamptz not null default clock_timestamp()
);
