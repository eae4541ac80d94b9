-- Note that a suspect which was alone has others beside it now: a crash counts against it, and does not end it.
--   parameters  lease, worker, job
--   result      none
--   rows locked the lease (waits; only this worker and a rescue lock it)
--   states      none
--   index       lease_pkey
update {schema}.lease set started = array_append(array_remove(started, %(job)s::bigint), -%(job)s::bigint)
where id = %(lease)s::bigint and worker_id = %(worker)s::bigint
