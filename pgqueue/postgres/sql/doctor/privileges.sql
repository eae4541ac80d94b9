-- List what the role lacks of what it would need.
--   parameters  kinds, objects, privileges: parallel arrays; schema
--   result      privilege and object, one row each
--   rows locked none
--   states      none
--   index       none
select need.privilege || ' on ' || need.object as missing
from unnest(%(kinds)s::text[], %(objects)s::text[], %(privileges)s::text[]) with ordinality as need(kind, object, privilege, place)
where not case need.kind
  when 'schema' then has_schema_privilege(need.object, need.privilege)
  when 'table' then coalesce(has_table_privilege(to_regclass(format('%%I.%%I', %(schema)s::text, need.object)), need.privilege), true)
  when 'sequence' then coalesce(has_sequence_privilege(to_regclass(format('%%I.%%I', %(schema)s::text, need.object)), need.privilege), true)
  else coalesce((select bool_or(has_function_privilege(p.oid, need.privilege)) from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace where n.nspname = %(schema)s::text and p.proname = need.object), true)
end
order by need.place
