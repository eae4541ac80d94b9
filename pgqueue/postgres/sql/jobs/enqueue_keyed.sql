-- Write jobs of which some share a key with a live one. The statement itself is the function's: SQL callers end in it too.
--   parameters  parallel arrays, see {schema}.enqueue_keyed
--   result      one row: "id outcome" in the order given, separated by commas; the transaction; the database
--               as varchar: a caller may read text in a way of its own
--   rows locked job_key, job of a replaced one; waits for open transactions with the same key
--   states      - -> ready | scheduled; ready | scheduled -> ready | scheduled
--   index       job_key_pkey, job_pkey
select string_agg(id || ' ' || outcome, ',')::varchar as answers, pg_current_xact_id()::text::varchar as transaction,
  current_database()::varchar as database
from {schema}.enqueue_keyed(%(queue)s::text::text[], %(task)s::text::text[], %(args)s::text::jsonb[],
  %(priority)s::text::int[], %(delay)s::text::float8[], %(run_at)s::text::timestamptz[], %(max_retries)s::text::int[],
  %(timeout_ms)s::text::int[], %(more)s::text::jsonb[], %(key)s::text::jsonb[])
