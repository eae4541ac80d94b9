-- Copy the places of jobs in, after jobs/copy: seq is drawn when the transaction has written.
--   parameters  lines of text: the columns named, in the order of the jobs
--   result      none
--   rows locked none but the new ones
--   states      - -> ready
--   index       none
copy {schema}.ready (queue, priority, job_id, run) from stdin
