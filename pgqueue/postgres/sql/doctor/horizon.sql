-- List who keeps dead rows from being cleaned, oldest first: transactions, prepared ones, replication slots, standbys.
--   parameters  none
--   result      kind, who, user, state, age in transactions, age in seconds (null: unknown), since, query; hidden: how many
--               connections this role may not look at
--   rows locked none
--   states      none
--   index       none
select kind, who, usename, state, xids, seconds::float8, since, query,
  (select count(*)::int from pg_stat_activity a
   where a.datname = current_database() and a.query = '<insufficient privilege>') as hidden
from (
  select 'transaction' as kind, a.pid::text as who, a.usename::text as usename, a.state,
    greatest(age(a.backend_xmin), age(a.backend_xid)) as xids, extract(epoch from clock_timestamp() - a.xact_start) as seconds,
    a.xact_start as since, left(regexp_replace(a.query, '\s+', ' ', 'g'), 60) as query
  from pg_stat_activity a
  where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
    and (a.backend_xmin is not null or a.backend_xid is not null)
  union all
  select 'prepared transaction', p.gid, p.owner::text, null, age(p.transaction), extract(epoch from clock_timestamp() - p.prepared),
    p.prepared, null
  from pg_prepared_xacts p where p.database = current_database()
  union all
  select 'replication slot', s.slot_name::text, null, case when s.active then 'active' else 'inactive' end, age(s.xmin), null, null, null
  from pg_replication_slots s where s.xmin is not null
  union all
  select 'standby', r.application_name || coalesce(' at ' || host(r.client_addr), ''), r.usename::text, r.state, age(r.backend_xmin), null, null, null
  from pg_stat_replication r where r.backend_xmin is not null
) holder
union all
select null, null, null, null, -1, null, null, null, (select count(*)::int from pg_stat_activity a
  where a.datname = current_database() and a.query = '<insufficient privilege>')
order by xids desc
