-- Draw ids for jobs that will be copied in, and take the time of their writing.
--   parameters  count
--   result      one row: ids in order, separated by commas; the server's time; the transaction
--   rows locked none
--   states      none
--   index       none
select string_agg(nextval('{schema}.job_id_seq')::text, ',') as ids,
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00"') as stamp,
  pg_current_xact_id()::text as transaction
from generate_series(1, %(count)s::int)
