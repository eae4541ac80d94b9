-- Record that the handler of a suspect is about to be called, so that the crash of its worker counts against it.
--   parameters  lease, worker, job
--   result      true; no row: the lease is gone, and the job with it
--   rows locked the lease (waits; only this worker and a rescue lock it)
--   states      none
--   index       lease_pkey
update {schema}.lease set started = array_append(started, %(job)s::bigint)
where id = %(lease)s::bigint and worker_id = %(worker)s::bigint and %(job)s::bigint = any(job_ids)
returning true as held
