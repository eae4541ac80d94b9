-- Take one more transaction id after the idle row: whoever missed that row is then listed in the next snapshot.
--   parameters  none
--   result      the id
--   rows locked none
--   states      none
--   index       none
select pg_current_xact_id()::text::bigint as xid
