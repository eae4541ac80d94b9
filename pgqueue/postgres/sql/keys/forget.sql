-- Delete keys whose time is over; an enqueue takes them all the same.
--   parameters  none
--   result      none
--   rows locked job_key, SKIP LOCKED: never waits
--   states      none
--   index       job_key_until
delete from {schema}.job_key where ctid = any(array(
  select ctid from {schema}.job_key where until < 'infinity' and until <= now() limit 10000 for update skip locked))
