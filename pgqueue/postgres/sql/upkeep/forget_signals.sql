-- Delete signals that no run waits for any more.
--   parameters  none
--   result      none
--   rows locked job_signal
--   states      none
--   index       none
delete from {schema}.job_signal s
where s.created_at < now() - interval '1 hour'
  and not exists (select from {schema}.job j where j.id = s.job_id and j.run = s.run)
