-- Copy jobs in, for now; their places follow with ready/copy in the same transaction.
--   parameters  lines of text: the columns named, with ids drawn before
--   result      none
--   rows locked none but the new ones
--   states      - -> ready
--   index       none
copy {schema}.job (id, run_at, enqueued_at, timeout_ms, max_retries, priority, queue, task, args, body, codec, headers, tags)
from stdin
