-- See where jobs stand, without their contents. The statement is the function's: a role may have no more than that.
--   parameters  ids; transactions: parallel, null when known to be committed
--   result      id, its state, or uncommitted, rolled back, not found; the database
--   rows locked none
--   states      none
--   index       job_pkey, scheduled_order, job_history_pkey
select id::text, state, current_database()::text as database from {schema}.job_states(%(ids)s::text::bigint[], %(transactions)s::text::bigint[])
