-- Write jobs in the caller's transaction. The statement itself is the function's: SQL callers end in it too.
--   parameters  parallel arrays, see {schema}.enqueue_jobs
--   result      one row: ids in the order given, separated by commas; the transaction; the database
--               as varchar: a caller may read text in a way of its own
--   rows locked none but the new ones
--   states      - -> ready | scheduled
--   index       none
select string_agg(id::text, ',')::varchar as ids, pg_current_xact_id()::text::varchar as transaction,
  current_database()::varchar as database
from {schema}.enqueue_jobs(%(queue)s::text::text[], %(task)s::text::text[], %(args)s::text::jsonb[],
  %(priority)s::text::int[], %(delay)s::text::float8[], %(run_at)s::text::timestamptz[], %(max_retries)s::text::int[],
  %(timeout_ms)s::text::int[], %(more)s::text::jsonb[]) as id
