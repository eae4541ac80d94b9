-- Ask the clock that decides what is due.
--   parameters  none
--   result      the database's time
--   rows locked none
--   states      none
--   index       none
select clock_timestamp() as now
