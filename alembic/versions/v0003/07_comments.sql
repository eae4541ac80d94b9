comment on table {schema}.job_checkpoint is 'Where a later run of a job may go on; deleted when the job has succeeded.';
comment on function {schema}.complete(bigint, integer, bigint, float8, jsonb) is 'End a running job in the transaction of its handler; false when the run is not the caller''s any more.';
comment on function {schema}.enqueue(text, jsonb, text, integer, interval, timestamptz, integer, interval, jsonb, text[], text, text, interval, text, timestamptz, timestamptz) is 'Enqueue a job in this transaction; returns its id, or the id of the job that holds the key.';
