-- Draw ids for jobs that will be copied in, and take the time of their writing.
--   parameters  count
--   result      one row: the first id; all ids in order, separated by commas, null when they follow each other; the server's
--               time; the transaction; the database; the database
--               as varchar: a caller may read text in a way of its own
--   rows locked none
--   states      none
--   index       none
select drawn.ids[1]::varchar as first,
  case when drawn.ids[%(count)s::int] - drawn.ids[1] >= %(count)s::int then array_to_string(drawn.ids, ',')::varchar end as ids,
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00"')::varchar as stamp,
  pg_current_xact_id()::text::varchar as transaction,
  current_database()::varchar as database
from (select array_agg(nextval('{schema}.job_id_seq')) as ids from generate_series(1, %(count)s::int)) drawn
